//! A model of the store in memory against the real store, over random sequences of commands.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use syntax_publish::config::Level;
use syntax_publish::host::LocalConnector;
use syntax_publish::model::cache::Classes;
use syntax_publish::model::digest::Digest;
use syntax_publish::model::encoding::{Encodings, Recipe};
use syntax_publish::model::manifest::{Input, Site};
use syntax_publish::model::path::SitePath;
use syntax_publish::model::redirect::{self, Redirect, Status};
use syntax_publish::model::release::{Owner, ReleaseId};
use syntax_publish::site::source::{Export, Source};
use syntax_publish::store::Error;
use syntax_publish::store::prune;
use syntax_publish::store::publish;
use syntax_publish::store::releases;
use syntax_publish::store::rollback;
use syntax_publish::store::rollback::Destination;
use syntax_publish::store::session::Session;
use syntax_publish::store::verify::{Depth, verify};

use crate::support::command::write;

/// A command that a user may run next.
#[derive(Debug, Clone)]
enum Command {
    Publish(Content),
    Rollback(u32),
    Prune(usize),
    Hold,
    Resume,
}

/// A site of a few pages and chunks, from path to a number that stands for the content.
type Content = BTreeMap<&'static str, u8>;

fn content() -> impl Strategy<Value = Content> {
    let path = prop::sample::select(vec![
        "docs/a.html",
        "docs/b.html",
        "docs/deep/c.html",
        "docs/deep/d.txt",
        "other/docs/a.html",
        "_next/static/chunks/x.js",
        "_next/static/chunks/y.js",
        ".moved/=",
        ".moved/docs=",
        ".moved/docs/old=",
    ]);
    prop::collection::btree_map(path, 0..3u8, 0..6).prop_map(|mut content| {
        content.insert("index.html", 0);
        // The content of an immutable name never changes.
        for (path, bytes) in &mut content {
            if path.starts_with("_next/") {
                *bytes = 0;
            }
        }
        content
    })
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        6 => content().prop_map(Command::Publish),
        3 => (1..3u32).prop_map(Command::Rollback),
        2 => (1..4usize).prop_map(Command::Prune),
        1 => Just(Command::Hold),
        1 => Just(Command::Resume),
    ]
}

fn text(path: &str, bytes: u8) -> String {
    if redirect::address_of(path).is_some() {
        return ["/docs/a", "/docs/a=/b", "https://docs.example/"][usize::from(bytes)].to_owned();
    }
    format!("{path} {bytes} ").repeat(64)
}

/// The expected state of the store.
#[derive(Default)]
struct Model {
    /// Every release ever made, with the release that it replaced.
    made: BTreeMap<ReleaseId, (Content, Option<ReleaseId>)>,
    there: BTreeSet<ReleaseId>,
    current: Option<ReleaseId>,
    held: bool,
}

impl Model {
    fn live(&self) -> Option<&Content> {
        self.current.as_ref().map(|id| &self.made[id].0)
    }

    fn back(&self, steps: u32) -> Option<ReleaseId> {
        let mut at = self.current.clone()?;
        for _ in 0..steps {
            at = self.made[&at].1.clone()?;
            while !self.there.contains(&at) {
                at = self.made[&at].1.clone()?;
            }
        }
        Some(at)
    }
}

struct Real {
    folder: tempfile::TempDir,
}

impl Real {
    fn session(&self, what: &str) -> Session {
        let docroot = self.folder.path().join("docroot");
        let owner = Owner {
            who: "test@here".to_owned(),
            what: what.to_owned(),
            since: 0,
            yields: false,
        };
        Session::new(Box::new(LocalConnector { docroot }), owner)
    }

    async fn publish(&self, content: &Content) -> Result<publish::Published, Error> {
        let out = self.folder.path().join("out");
        let _ = fs::remove_dir_all(&out);
        for (path, bytes) in content.iter().filter(|(path, _)| redirect::address_of(path).is_none()) {
            write(&out.join(path), text(path, *bytes));
        }
        let moved = content.iter().filter_map(|(path, bytes)| {
            let address = redirect::address_of(path)?;
            let redirect = Redirect::new(Status::Found, &text(path, *bytes)).unwrap();
            Some((address, redirect))
        });
        let files = content.iter().filter(|(path, _)| redirect::address_of(path).is_none());
        let files = files.map(|(path, bytes)| {
            let text = text(path, *bytes);
            Input {
                path: SitePath::new(path).unwrap(),
                digest: Digest::of(text.as_bytes()),
                size: text.len() as u64,
                media_type: "text/html".into(),
                encodings: Encodings {
                    br: Some(Recipe::made(1)),
                    gz: None,
                },
            }
        });
        let site = Site::with_redirects(files, &moved.collect(), &Classes::new("_assets"));
        let source: Arc<dyn Source> = Arc::new(Export::new(&out));
        let options = publish::Options {
            refusals: publish::Refusals {
                immutable: Level::Warn,
                ..publish::Refusals::default()
            },
            ..publish::Options::new("test")
        };
        publish::publish(&self.session("publish"), publish::Job::new(&source, &site, &options)).await
    }

    fn served(&self) -> Option<BTreeMap<String, String>> {
        let current = self.folder.path().join("docroot/current");
        current.exists().then(|| read_all(&current, ""))
    }
}

fn read_all(folder: &Path, prefix: &str) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        // Follows symlinks, like the web server.
        if redirect::address_of(&name).is_some() {
            let answer = fs::canonicalize(entry.path()).unwrap();
            let (_, spelling) = answer.to_str().unwrap().split_once("/moved/").unwrap();
            let redirect = Redirect::spelled(spelling).unwrap();
            assert_eq!(redirect.status(), Status::Found);
            files.insert(name, redirect.location().to_owned());
        } else if fs::metadata(entry.path()).unwrap().is_dir() {
            files.extend(read_all(&entry.path(), &format!("{name}/")));
        } else if !name.ends_with(".br") {
            files.insert(name, fs::read_to_string(entry.path()).unwrap());
        }
    }
    files
}

async fn step(model: &mut Model, real: &Real, command: &Command) {
    match command {
        Command::Publish(content) => match real.publish(content).await {
            Err(Error::OnHold { .. }) => assert!(model.held),
            Err(error) => panic!("{error}"),
            Ok(published) => {
                assert!(!model.held);
                assert_eq!(published.swapped, model.live() != Some(content));
                if published.swapped {
                    let made = (content.clone(), model.current.clone());
                    assert!(model.made.insert(published.release.clone(), made).is_none());
                    assert_eq!(
                        model.made.keys().next_back(),
                        Some(&published.release),
                        "ids sort by time"
                    );
                    model.there.insert(published.release.clone());
                    model.current = Some(published.release);
                }
            }
        },
        Command::Rollback(steps) => {
            let session = real.session("rollback");
            let done = rollback::rollback(&session, &Destination::Steps(*steps), &rollback::Options::default()).await;
            match (done, model.back(*steps)) {
                (Ok(done), Some(to)) => {
                    assert_eq!(done.release, to);
                    model.current = Some(to);
                }
                (Err(Error::NoFormerRelease { .. } | Error::NothingPublished { .. }), None) => {}
                (done, expected) => panic!("{done:?}, but {expected:?} was expected"),
            }
        }
        Command::Prune(keep) => {
            let options = prune::Options {
                keep: *keep,
                skew: Duration::ZERO,
                expire: Duration::from_hours(14 * 24),
                dry_run: false,
                yields: false,
            };
            prune::prune(&real.session("prune"), &options).await.unwrap();
            let newest: BTreeSet<ReleaseId> = model.there.iter().rev().take(*keep).cloned().collect();
            // The release that a rollback would return to is kept, whatever the number.
            let back = model.back(1);
            model
                .there
                .retain(|id| newest.contains(id) || Some(id) == model.current.as_ref() || Some(id) == back.as_ref());
        }
        Command::Hold => {
            rollback::hold(&real.session("hold"), "for a reason").await.unwrap();
            model.held = true;
        }
        Command::Resume => {
            let held = rollback::resume(&real.session("resume")).await.unwrap();
            assert_eq!(held.is_some(), model.held);
            model.held = false;
        }
    }
}

/// Compares what visitors get and which releases are listed, and checks that every release is intact.
async fn compare(model: &Model, real: &Real) {
    let expected = model.live().map(|content| {
        content
            .iter()
            .map(|(path, bytes)| ((*path).to_owned(), text(path, *bytes)))
            .collect::<BTreeMap<_, _>>()
    });
    assert_eq!(real.served(), expected);
    let session = real.session("look");
    let listed: BTreeSet<ReleaseId> = releases::list(&session)
        .await
        .unwrap()
        .into_iter()
        .map(|r| r.id)
        .collect();
    assert_eq!(listed, model.there);
    for id in &model.there {
        let verified = verify(&session, id, Depth::Deep).await.unwrap();
        assert!(verified.faults.is_empty(), "{id}: {:?}", verified.faults);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_commands_does_what_the_model_does(commands in prop::collection::vec(command(), 1..10)) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let (mut model, real) = (Model::default(), Real { folder: tempfile::tempdir().unwrap() });
            for command in &commands {
                step(&mut model, &real, command).await;
                compare(&model, &real).await;
            }
        });
    }
}
