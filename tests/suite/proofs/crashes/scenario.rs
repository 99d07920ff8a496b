//! The commands that are broken. Each starts from a store in which it does everything it can do.

use crate::support::bench::{Command, Content, content, redirects};

pub struct Scenario {
    pub name: &'static str,
    /// The commands that run first.
    pub before: Vec<Command>,
    /// The command that is broken.
    pub command: Command,
    /// The content of the next publish.
    pub next: Content,
}

impl Scenario {
    /// Every site that the scenario publishes. A prune keeps the predecessor of the live release, which may be any of
    /// them.
    pub fn contents(&self) -> impl Iterator<Item = &Content> {
        self.before
            .iter()
            .chain([&self.command])
            .filter_map(|command| match command {
                Command::Publish(content)
                | Command::PublishHavingSeen(content, _)
                | Command::PublishToChannel(content)
                | Command::PublishAndPrune(content) => Some(content),
                _ => None,
            })
    }
}

pub fn base() -> Content {
    let mut site = content([
        ("index.html", "home "),
        ("404.html", "nothing "),
        ("docs/a.html", "about a "),
        ("docs/b.html", "about b "),
        ("docs/deep/c.html", "about c "),
        ("_next/static/chunks/x.js", "x; "),
    ]);
    site.extend(redirects([
        ("/old/stays", "/docs/a"),
        ("/old/changes", "/docs/b"),
        ("/old/goes", "/"),
    ]));
    site
}

/// `base` with one page edited, a redirect to its new part, and one redirect less.
pub fn edited() -> Content {
    let mut site = base();
    site.extend(content([("docs/a.html", "more about a ")]));
    site.extend(redirects([("/old/changes", "/docs/a#more")]));
    site.remove(".moved/old/goes=");
    site
}

/// `base` with new chunks, one of them in a separate folder, a new page, and redirects to it. The answer of one of them
/// contains that of another.
pub fn grown() -> Content {
    let mut site = base();
    site.extend(content([
        ("_next/static/chunks/y.js", "y; "),
        ("_next/static/css/z.css", "z{} "),
        ("docs/new.html", "about new "),
    ]));
    site.extend(redirects([("/old", "/docs/new"), ("/old/changes", "/docs/new=/part")]));
    site
}

/// `base` with a folder that is wide enough for its manifest to be worth copying.
pub fn wide() -> Content {
    let mut site = base();
    site.extend((0..20).map(|number| (format!("wide/{number}.html"), format!("page {number}").into_bytes())));
    site
}

/// `wide` with one of its many pages edited.
pub fn wide_edited() -> Content {
    let mut site = wide();
    site.insert("wide/11.html".to_owned(), b"another page 11".to_vec());
    site
}

/// Bytes that no encoder can shrink.
fn noise(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// `base` with more content than fits into one flight.
fn bulky() -> Content {
    let mut site = base();
    for seed in 0..3 {
        site.insert(format!("files/{seed}.bin"), noise(seed, 400_000));
    }
    site
}

/// `base` with a file that is sent in pieces.
fn large() -> Content {
    let mut site = base();
    site.insert("files/large.bin".to_owned(), noise(9, 4 * 1024 * 1024 + 17));
    site
}

fn publish(site: Content) -> Command {
    Command::Publish(site)
}

pub fn first_publish() -> Scenario {
    Scenario {
        name: "first publish",
        before: vec![],
        command: publish(base()),
        next: base(),
    }
}

pub fn publish_of_an_edit() -> Scenario {
    Scenario {
        name: "publish of an edit",
        before: vec![publish(base())],
        command: publish(edited()),
        next: edited(),
    }
}

pub fn publish_of_an_edit_in_a_wide_folder() -> Scenario {
    Scenario {
        name: "publish of an edit in a wide folder",
        before: vec![publish(wide())],
        command: Command::PublishHavingSeen(wide_edited(), wide()),
        next: base(),
    }
}

pub fn publish_of_an_edit_to_what_was_seen() -> Scenario {
    Scenario {
        name: "publish of an edit to what was seen",
        command: Command::PublishHavingSeen(edited(), base()),
        ..publish_of_an_edit()
    }
}

pub fn publish_that_adds_to_what_was_seen() -> Scenario {
    Scenario {
        name: "publish that adds to what was seen",
        command: Command::PublishHavingSeen(grown(), base()),
        ..publish_that_adds_to_the_pool()
    }
}

/// Another machine has published since: the release that this one has seen is no longer live.
pub fn publish_after_something_else_was_seen() -> Scenario {
    Scenario {
        name: "publish after something else was seen",
        before: vec![publish(base()), publish(edited())],
        command: Command::PublishHavingSeen(grown(), base()),
        next: grown(),
    }
}

pub fn publish_of_an_edit_before_another() -> Scenario {
    Scenario {
        name: "publish of an edit before another",
        next: grown(),
        ..publish_of_an_edit()
    }
}

pub fn publish_that_adds_to_the_pool() -> Scenario {
    Scenario {
        name: "publish that adds to the pool",
        before: vec![publish(base())],
        command: publish(grown()),
        next: grown(),
    }
}

pub fn publish_sent_in_batches() -> Scenario {
    Scenario {
        name: "publish sent in batches",
        before: vec![publish(base())],
        command: publish(bulky()),
        next: bulky(),
    }
}

pub fn publish_of_a_large_file() -> Scenario {
    Scenario {
        name: "publish of a large file",
        before: vec![publish(base())],
        command: publish(large()),
        next: large(),
    }
}

pub fn publish_of_nothing_new() -> Scenario {
    Scenario {
        name: "publish of nothing new",
        before: vec![publish(base())],
        command: publish(base()),
        next: edited(),
    }
}

pub fn publish_with_prune() -> Scenario {
    Scenario {
        name: "publish with prune",
        before: vec![publish(base()), publish(edited())],
        command: Command::PublishAndPrune(grown()),
        next: grown(),
    }
}

pub fn publish_to_a_channel() -> Scenario {
    Scenario {
        name: "publish to a channel",
        before: vec![publish(base())],
        command: Command::PublishToChannel(grown()),
        next: edited(),
    }
}

/// The channel shows something else before.
pub fn publish_to_a_channel_again() -> Scenario {
    Scenario {
        name: "publish to a channel again",
        before: vec![publish(base()), Command::PublishToChannel(edited()), publish(edited())],
        command: Command::PublishToChannel(grown()),
        next: base(),
    }
}

pub fn promote() -> Scenario {
    Scenario {
        name: "promote",
        before: vec![publish(base()), Command::PublishToChannel(grown())],
        command: Command::Promote,
        next: edited(),
    }
}

pub fn remove_channel() -> Scenario {
    Scenario {
        name: "removal of a channel",
        before: vec![publish(base()), Command::PublishToChannel(grown())],
        command: Command::RemoveChannel,
        next: edited(),
    }
}

/// One release of the channel is superseded, and one is shown.
pub fn prune_beside_a_channel() -> Scenario {
    Scenario {
        name: "prune beside a channel",
        before: vec![
            publish(base()),
            Command::PublishToChannel(wide()),
            Command::PublishToChannel(grown()),
            publish(edited()),
        ],
        command: Command::Prune(1),
        next: edited(),
    }
}

pub fn rollback() -> Scenario {
    Scenario {
        name: "rollback",
        before: vec![publish(grown()), publish(edited())],
        command: Command::Rollback(1),
        next: base(),
    }
}

pub fn hold() -> Scenario {
    Scenario {
        name: "hold",
        before: vec![publish(base())],
        command: Command::Hold,
        next: edited(),
    }
}

pub fn resume() -> Scenario {
    Scenario {
        name: "resume",
        before: vec![publish(base()), Command::Hold],
        command: Command::Resume,
        next: edited(),
    }
}

pub fn prune() -> Scenario {
    Scenario {
        name: "prune",
        before: vec![publish(grown()), publish(base()), publish(edited())],
        command: Command::Prune(1),
        next: edited(),
    }
}
