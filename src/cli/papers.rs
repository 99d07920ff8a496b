//! Texts that a command prints about itself or for others: the vhost, completions, the manual page.

use clap::CommandFactory as _;
use syntax_publish::config::TargetKind;
use syntax_publish::model::cache::Classes;
use syntax_publish::nginx::{PageForm, Vhost, render};
use syntax_publish::pipeline::Served;

use super::args::{Args, Nginx};
use super::failure::Failure;
use super::site::Workplace;

/// The vhost for a site and target, given what its export says.
pub fn vhost(workplace: &Workplace, options: Nginx, served: Served) -> Result<String, Failure> {
    let docroot = match (options.docroot, &workplace.target.kind) {
        (Some(docroot), _) => docroot,
        (None, TargetKind::Local { docroot }) => workplace.path(docroot)?.to_string_lossy().into_owned(),
        (None, TargetKind::Sftp(sftp)) => sftp.docroot.clone(),
    };
    Ok(render(&Vhost {
        server_name: workplace.config.server_name().to_owned(),
        docroot,
        listen: options.listen,
        tls: !options.without_tls,
        brotli: !options.without_brotli,
        version: options.version,
        form: page_form(&served.paths),
        base_path: workplace
            .config
            .next
            .base_path
            .clone()
            .unwrap_or(served.client.base_path),
        classes: Classes::new(&workplace.config.fingerprint.prefix),
        deployment_id: served.client.deployment_id,
        extra_types: std::collections::BTreeMap::new(),
    })?)
}

/// How an export names its pages: by what most of them do.
///
/// The error pages of Next.js are files whichever form it is, so they don't count.
fn page_form(paths: &[String]) -> PageForm {
    let is_index = |path: &&String| path.ends_with("/index.html");
    let errors = ["index.html", "404.html", "500.html", "_not-found.html"];
    let is_file = |path: &&String| {
        let name = path.rsplit('/').next().and_then(|name| name.rsplit_once('.'));
        name.is_some_and(|(_, extension)| extension == "html") && !is_index(path) && !errors.contains(&path.as_str())
    };
    let folders = paths.iter().filter(is_index).count();
    if folders > paths.iter().filter(is_file).count() {
        PageForm::Folder
    } else {
        PageForm::Flat
    }
}

/// The completions of a shell.
pub fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "syntax-publish", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The manual page.
pub fn man() -> Result<String, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Args::command())
        .render(&mut page)
        .map_err(|source| Failure::Output { source })?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_the_pages_is_read_off_their_names() {
        let form = |paths: &[&str]| page_form(&paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            form(&["index.html", "docs.html", "docs/a.html", "404.html"]),
            PageForm::Flat
        );
        assert_eq!(form(&["index.html", "docs/index.html", "404.html"]), PageForm::Folder);
        assert_eq!(
            form(&["index.html", "404.html", "404/index.html", "_not-found/index.html"]),
            PageForm::Folder
        );
        assert_eq!(form(&[]), PageForm::Flat);
    }

    #[test]
    fn the_arguments_are_consistent() {
        Args::command().debug_assert();
    }
}
