//! Tasks that panic, and stages: a panic is reported as a bug, and every stage that began ends, whatever went wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use syntax_publish::model::digest::Digest;
use syntax_publish::model::encoding::Coding;
use syntax_publish::model::event::{Event, Observer, Stage};
use syntax_publish::model::path::SitePath;
use syntax_publish::site::SiteError;
use syntax_publish::site::source::{Source, SourceError};
use syntax_publish::store::Error;
use syntax_publish::store::publish::{Job, publish};

use crate::proofs::crashes::scenario::{base, publish_of_a_large_file, publish_sent_in_batches};
use crate::support::bench::{self, Command, Content, Encode, How, InMemory};
use crate::support::faulty::{Fault, Faulty, points};
use crate::support::memory::{Disk, Memory};

/// A source with a bug: reading one of its files panics.
struct Panics(InMemory, String);

impl Source for Panics {
    fn read(&self, path: &SitePath, digest: Digest, size: u64) -> Result<Vec<u8>, SourceError> {
        assert!(path.as_str() != self.1, "the test's own bug");
        self.0.read(path, digest, size)
    }

    fn read_given(&self, path: &SitePath, coding: Coding) -> Result<Vec<u8>, SourceError> {
        self.0.read_given(path, coding)
    }
}

/// Counts the stages that began and have not ended.
#[derive(Default)]
struct Stages(Mutex<BTreeMap<Stage, i64>>);

impl Observer for Stages {
    fn notice(&self, event: Event) {
        let (stage, change) = match event {
            Event::StageBegan { stage, .. } => (stage, 1),
            Event::StageEnded(stage) => (stage, -1),
            _ => return,
        };
        let mut stages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *stages.entry(stage).or_default() += change;
    }
}

impl Stages {
    #[track_caller]
    fn have_ended(&self) {
        let stages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(stages.values().all(|open| *open == 0), "{stages:?}");
    }
}

fn content(command: &Command) -> Content {
    match command {
        Command::Publish(content) => content.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_reported_as_a_bug_and_nothing_is_published() {
    for scenario in [publish_sent_in_batches(), publish_of_a_large_file()] {
        let content = content(&scenario.command);
        let bad = content
            .keys()
            .find(|path| path.starts_with("files/"))
            .expect("a file")
            .clone();
        let memory = Memory::new(Disk::new(1_000_000));
        let stages = Arc::<Stages>::default();
        let session = bench::session(Box::new(memory.clone()), "publish", How::default());
        let session = session.observed_by(Arc::clone(&stages) as _);
        let site = bench::site(&content, Encode::Brotli);
        let bytes = Digest::of(&content[&bad]).to_string();
        let source: Arc<dyn Source> = Arc::new(Panics(InMemory(content), bad));
        let options = bench::options(How::default());
        let error = publish(&session, Job::new(&source, &site, &options)).await;
        let error = error.expect_err("a source with a bug");
        assert!(
            matches!(&error, Error::Site(SiteError::Source(SourceError::Worker(detail))) if detail == "the test's own bug"),
            "{}: {error}",
            scenario.name
        );
        stages.have_ended();
        let disk = memory.disk();
        assert!(!disk.exists("current"));
        assert!(
            !disk.exists(&format!("objects/{}/{bytes}", &bytes[..2])),
            "half a file has no name"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_stage_that_began_ends_wherever_the_host_refuses_or_the_line_breaks() {
    let memory = Memory::new(Disk::new(1_000_000));
    let run = |connector: Faulty, stages: Arc<Stages>| async move {
        let content = base();
        let session = bench::session(Box::new(connector), "publish", How::default()).observed_by(stages);
        let source: Arc<dyn Source> = Arc::new(InMemory(content.clone()));
        let site = bench::site(&content, Encode::Brotli);
        let _ = publish(&session, Job::new(&source, &site, &bench::options(How::default()))).await;
    };
    let empty = memory.snapshot();
    let rehearsal = Faulty::new(Arc::new(memory.clone()), None);
    run(rehearsal.clone(), Arc::default()).await;
    for fault in [Fault::Refused, Fault::Cut] {
        for point in points(&rehearsal.record(), fault).into_iter().step_by(7) {
            memory.replace(empty.clone());
            let stages = Arc::<Stages>::default();
            let faulty = Faulty::new(Arc::new(memory.clone()), Some((point, fault)));
            run(faulty, Arc::clone(&stages)).await;
            stages.have_ended();
        }
    }
}
