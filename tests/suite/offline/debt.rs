//! The purges that are owed to a CDN, over random histories. An edge keeps everything that it can have been given, and
//! every part of that which is not live must be owed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use proptest::prelude::*;
use syntax_publish::config;
use syntax_publish::host::{Answers, Connect, Host, HostError, HostErrorKind, Op, Refusal, RefusalKind};
use syntax_publish::live::deliver::{self, LiveSite, Probes, PublicSite, ReleasePart};
use syntax_publish::live::purge::{Purge, PurgeError, PurgeRequest, Purged};
use syntax_publish::next::client::Client;
use syntax_publish::rules::Rules;
use syntax_publish::rules::file_address;
use syntax_publish::site::pipeline;
use syntax_publish::site::source::Source;
use syntax_publish::store::Error;
use syntax_publish::store::pending_purges::Delivery;
use syntax_publish::store::publish;
use syntax_publish::store::rollback::{self, Destination};
use syntax_publish::store::session::Session;

use crate::support::bench::{self, Content, Encode, How, InMemory};
use crate::support::memory::{Disk, Memory};

const PATHS: [&str; 4] = ["index.html", "a.html", "docs/b.html", "docs/c.html"];
const BASE: &str = "https://demo.test";

/// The next command, and its faults.
#[derive(Debug, Clone)]
struct Step {
    what: What,
    purge: PurgeGoes,
    /// The reply to the swap is lost, although the swap was done.
    loses_reply: bool,
    /// Manifests can't be read once the swap is done.
    hides_manifests: bool,
    /// The run dies after the swap.
    dies: bool,
}

#[derive(Debug, Clone)]
enum What {
    /// A version of each path; `None` if there is no such page.
    Publish([Option<u8>; 4]),
    /// Publishes the live site again.
    PublishAgain,
    /// Publishes, and rolls back as if the release had failed at the origin.
    PublishAndTakeBack([Option<u8>; 4]),
    Rollback(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PurgeGoes {
    Well,
    Wrong,
    /// The purge succeeds. Before that is recorded, another run rolls back and forth, and dies.
    WellWithAnother,
}

fn versions() -> impl Strategy<Value = [Option<u8>; 4]> {
    (
        0..2u8,
        prop::option::of(0..2u8),
        prop::option::of(0..2u8),
        prop::option::of(0..2u8),
    )
        .prop_map(|(a, b, c, d)| [Some(a), b, c, d])
}

fn step() -> impl Strategy<Value = Step> {
    let what = prop_oneof![
        4 => versions().prop_map(What::Publish),
        1 => Just(What::PublishAgain),
        2 => versions().prop_map(What::PublishAndTakeBack),
        3 => (1..3u32).prop_map(What::Rollback),
    ];
    let purge = prop_oneof![
        3 => Just(PurgeGoes::Well),
        3 => Just(PurgeGoes::Wrong),
        1 => Just(PurgeGoes::WellWithAnother),
    ];
    let rarely = || prop::bool::weighted(0.2);
    (what, purge, rarely(), rarely(), rarely()).prop_map(|(what, purge, loses_reply, hides_manifests, dies)| Step {
        what,
        purge,
        loses_reply,
        hides_manifests,
        dies,
    })
}

/// The content of each path; `None` if there is no such page.
type Shown = BTreeMap<&'static str, Option<Vec<u8>>>;

/// A host, and an edge in front of it that may have everything it was given since its last purge.
#[derive(Clone)]
struct World {
    memory: Memory,
    state: Arc<Mutex<State>>,
    loses_reply: Arc<AtomicBool>,
    hides_manifests: Arc<AtomicBool>,
    has_swapped: Arc<AtomicBool>,
}

struct State {
    edge: BTreeMap<&'static str, BTreeSet<Option<Vec<u8>>>>,
    /// The content of each release that was ever live.
    releases: BTreeMap<String, Shown>,
    purge: PurgeGoes,
}

impl World {
    fn new() -> World {
        World {
            memory: Memory::new(Disk::new(1_000_000)),
            state: Arc::new(Mutex::new(State {
                edge: BTreeMap::new(),
                releases: BTreeMap::new(),
                purge: PurgeGoes::Well,
            })),
            loses_reply: Arc::default(),
            hides_manifests: Arc::default(),
            has_swapped: Arc::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn live(&self) -> Option<(String, Shown)> {
        let disk = self.memory.disk();
        let id = disk.text("current")?.strip_prefix("releases/")?.to_owned();
        let shows = |path: &&'static str| (*path, disk.bytes(&format!("current/{path}")).map(<[u8]>::to_vec));
        Some((id, PATHS.iter().map(shows).collect()))
    }

    /// Visitors request everything through the edge, which may keep it.
    fn visited(&self) {
        let Some((id, shown)) = self.live() else { return };
        let mut state = self.state();
        for (path, bytes) in &shown {
            state.edge.entry(path).or_default().insert(bytes.clone());
        }
        state.releases.insert(id, shown);
    }

    fn forgets(&self, rules: &Rules, urls: &[String]) {
        let Some((_, shown)) = self.live() else { return };
        let mut state = self.state();
        for (path, bytes) in shown {
            let forms = file_address::all(rules, path);
            if forms.iter().all(|form| urls.contains(&format!("{BASE}{form}"))) {
                state.edge.insert(path, BTreeSet::from([bytes]));
            }
        }
    }

    /// What the edge may show that is neither live nor owed.
    fn forgotten(&self) -> Vec<String> {
        let Some((id, live)) = self.live() else {
            return Vec::new();
        };
        let note = self.memory.disk().text("delivery").unwrap_or_default();
        let owed = Delivery::read(Some(note.clone())).pending;
        let state = self.state();
        let mut forgotten = Vec::new();
        for (path, kept) in &state.edge {
            for bytes in kept.iter().filter(|bytes| **bytes != live[path]) {
                let mut owing = owed.owed.iter().filter_map(|id| state.releases.get(id.as_str()));
                if !owed.owed_all && !owing.any(|shown| shown[path] == *bytes) {
                    forgotten.push(format!("{path} with {id} live; {note}"));
                }
            }
        }
        forgotten
    }
}

impl Host for World {
    fn flight(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Answers, HostError>> {
        let mut answers = Vec::new();
        let mut swaps = false;
        for op in &ops {
            let is_hidden = self.hides_manifests.load(Ordering::SeqCst)
                && self.has_swapped.load(Ordering::SeqCst)
                && matches!(op, Op::Open(path) if path.starts_with("manifests/"));
            if is_hidden {
                answers.push(Err(Refusal {
                    kind: RefusalKind::Failed,
                    op: op.to_string(),
                    message: "hidden".to_owned(),
                }));
                continue;
            }
            let answer = self.memory.disk().execute(op);
            if matches!(op, Op::Rename { to, .. } if to == "current") && answer.is_ok() {
                swaps = true;
                self.visited();
            }
            answers.push(answer);
        }
        if swaps {
            self.has_swapped.store(true, Ordering::SeqCst);
            if self.loses_reply.swap(false, Ordering::SeqCst) {
                let (host, detail) = ("memory".to_owned(), "the test broke it".to_owned());
                return Box::pin(std::future::ready(Err(HostError::new(
                    HostErrorKind::Lost,
                    host,
                    detail,
                ))));
            }
        }
        Box::pin(std::future::ready(Ok(answers)))
    }
}

impl Connect for World {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Host>, HostError>> {
        Box::pin(async { Ok(Box::new(self.clone()) as Box<dyn Host>) })
    }

    fn name(&self) -> String {
        "memory".to_owned()
    }
}

/// The API that purges the CDN.
struct Api {
    world: World,
    rules: Rules,
}

impl Purge for Api {
    fn name(&self) -> String {
        "the edge".to_owned()
    }

    fn purge<'a>(&'a self, wanted: &'a PurgeRequest, _: Duration) -> BoxFuture<'a, Result<Purged, PurgeError>> {
        Box::pin(async move {
            let goes = self.world.state().purge;
            if goes == PurgeGoes::Wrong {
                return Err(PurgeError::Refused {
                    name: self.name(),
                    status: 500,
                    detail: "no".to_owned(),
                });
            }
            self.world.forgets(&self.rules, &wanted.urls);
            if goes == PurgeGoes::WellWithAnother {
                // Back, and forward again to what is live now.
                let live = self.world.live().map(|(id, _)| id);
                if back(&self.world, &Destination::Steps(1)).await.is_ok()
                    && let Some(live) = live
                {
                    back(&self.world, &Destination::Release(live))
                        .await
                        .expect("the way forth");
                }
            }
            Ok(Purged {
                what: "it".to_owned(),
                urls: Some(wanted.urls.len()),
                requests: 1,
            })
        })
    }
}

fn session(world: &World) -> Session {
    bench::session(Box::new(world.clone()), "test", How::default())
}

/// A rollback by a run that dies before it purges anything.
async fn back(world: &World, to: &Destination) -> Result<(), Error> {
    let options = rollback::Options {
        purges: true,
        ..rollback::Options::default()
    };
    rollback::rollback(&session(world), to, &options).await.map(drop)
}

fn way(world: &World) -> PublicSite {
    let config = config::parse("[site]\nname = \"demo\"\nurl = \"https://demo.test\"\n");
    let rules = pipeline::rules(
        &config.expect("a site manifest").config,
        Client::default(),
        PATHS.iter().copied(),
    );
    PublicSite {
        rules: rules.clone(),
        base: Some(BASE.to_owned()),
        aliases: Vec::new(),
        site: "demo".to_owned(),
        timeout: Duration::from_secs(1),
        purges: vec![Box::new(Api {
            world: world.clone(),
            rules,
        })],
    }
}

fn site_of(versions: [Option<u8>; 4]) -> Content {
    let pages = PATHS.iter().zip(versions);
    let text =
        |(path, version): (&&str, Option<u8>)| Some(((*path).to_owned(), format!("{path} {}", version?).into_bytes()));
    pages.filter_map(text).collect()
}

fn options() -> publish::Options {
    publish::Options {
        purges: true,
        ..bench::options(How::default())
    }
}

async fn take(world: &World, step: &Step, last: &mut Content) {
    world.state().purge = step.purge;
    world.loses_reply.store(step.loses_reply, Ordering::SeqCst);
    world.hides_manifests.store(step.hides_manifests, Ordering::SeqCst);
    world.has_swapped.store(false, Ordering::SeqCst);
    let session = session(world);
    let way = way(world);
    let live = LiveSite {
        session: &session,
        public_site: &way,
    };
    let content = match &step.what {
        What::Publish(versions) | What::PublishAndTakeBack(versions) => site_of(*versions),
        What::PublishAgain | What::Rollback(_) => last.clone(),
    };
    let source: Arc<dyn Source> = Arc::new(InMemory(content.clone()));
    let site = bench::site(&content, Encode::Nothing);
    match &step.what {
        What::Publish(_) | What::PublishAgain if step.dies => {
            let _ = publish::publish(&session, publish::Job::new(&source, &site, &options())).await;
        }
        What::Publish(_) | What::PublishAgain => {
            let options = options();
            let job = publish::Job::new(&source, &site, &options);
            let _ = live.deliver(job, Probes::default()).await;
        }
        What::PublishAndTakeBack(_) => {
            let published = publish::publish(&session, publish::Job::new(&source, &site, &options())).await;
            if let Ok(published) = published
                && let (true, Some(previous)) = (published.swapped, published.previous)
                && back(world, &Destination::Release(previous.to_string())).await.is_ok()
                && !step.dies
            {
                live.purge_after_rollback(&previous).await;
            }
        }
        What::Rollback(steps) => {
            let options = rollback::Options {
                purges: true,
                ..rollback::Options::default()
            };
            let done = rollback::rollback(&session, &Destination::Steps(*steps), &options).await;
            if let Ok(done) = done
                && !step.dies
                && let Ok(on_host) = deliver::on_host(&session, &done.release, Some(&done.previous)).await
            {
                live.probe(&on_host, ReleasePart::Changes, Probes::default()).await;
            }
        }
    }
    *last = content;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn what_an_edge_may_have_that_is_not_live_is_pending(steps in prop::collection::vec(step(), 1..8)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let world = World::new();
            let mut last = site_of([Some(0); 4]);
            for step in &steps {
                take(&world, step, &mut last).await;
                world.visited();
                let forgotten = world.forgotten();
                prop_assert!(forgotten.is_empty(), "after {step:?}: {forgotten:?}");
            }
            Ok(())
        })?;
    }
}
