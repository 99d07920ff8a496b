//! The command `serve`: a published release on this machine, answered as the vhost answers. It does not end by itself,
//! and changes nothing.

use std::sync::Arc;

use syntax_publish::preview::{self, HostNames, LiveReload, Preview, Snapshot};
use syntax_publish::site::pipeline::Prepared;
use syntax_publish::store::remote_source::{self, RemoteSource};
use syntax_publish::store::{Error, channels, open};

use super::Run;
use super::ask::chosen;
use super::watch::open_browser;
use crate::cli::args::Serve;
use crate::cli::failure::Failure;
use crate::cli::json::Watched;

impl Run {
    pub(super) async fn serve(&self, options: Serve) -> Result<u8, Failure> {
        let (workplace, session) = self.open("serve")?;
        let release = match &options.channel {
            Some(channel) => channels::shown(session, channel).await?,
            None => chosen(session, options.release.as_deref()).await?,
        };
        let root = open::root(session, &release)
            .await?
            .ok_or_else(|| Error::no_release(&release))?;
        let site = remote_source::site(session, root).await?;
        let document = open::document(session, &release).await?;
        let created = document.and_then(|document| document.created.parse::<jiff::Timestamp>().ok());
        let created = created.map_or(0, |created| created.as_second().unsigned_abs());
        let rules = self.rules_of(workplace, &site).await?;
        let source = Arc::new(RemoteSource::new(Arc::clone(session), site.clone()).reconnecting());
        let prepared = Prepared::published(site, source, rules);
        self.finish();
        let snapshot = Arc::new(Snapshot::new(prepared, created, None));
        let preview = Arc::new(Preview::new(HostNames::with(&options.host), LiveReload::No, None));
        preview.show(&snapshot);
        let (listener, origin) = self.listen(&options.host, options.port).await?;
        let url = format!("{origin}{}/", snapshot.rules.base_path);
        if options.open
            && let Err(reason) = open_browser(&url)
        {
            self.screen.warn(&format!("can't open a browser: {reason}"));
        }
        let text = format!(
            "serving {release} of {} at {url}  (Ctrl-C ends it)",
            workplace.target_name
        );
        self.screen.event(&Watched::Listening { url }, || text)?;
        preview::serve(listener, preview).await;
        Ok(0)
    }
}
