//! Texts that a command prints about itself or for others: the vhost, completions, the manual page.

use clap::CommandFactory as _;
use syntax_publish::config::TargetKind;
use syntax_publish::nginx::{Vhost, render};
use syntax_publish::serving::Rules;

use super::args::{Args, Nginx};
use super::failure::Failure;
use super::site::Workplace;

/// The vhost for a site and target, given the rules of its export.
pub fn vhost(workplace: &Workplace, options: Nginx, rules: Rules) -> Result<String, Failure> {
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
        rules,
    })?)
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
    fn the_arguments_are_consistent() {
        Args::command().debug_assert();
    }
}
