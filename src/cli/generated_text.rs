//! Generates text about the tool and for other programs: the vhost and the manual pages. Must not print anything; only
//! [`write_man_pages`] writes files.

use std::path::Path;

use clap::CommandFactory as _;
use syntax_publish::config::{TargetKind, WebUrl};
use syntax_publish::rules::Rules;
use syntax_publish::rules::nginx::{Channels, Version, Vhost, render};

use super::args::{Args, Nginx};
use super::failure::Failure;
use super::format::shown;
use super::site::Workplace;

/// Returns the vhost for a site and target, given the rules of the export, and warnings about what had to be assumed.
pub fn vhost(workplace: &Workplace, options: Nginx, rules: Rules) -> Result<(String, Vec<String>), Failure> {
    let (target, config) = (&workplace.target, &workplace.config);
    let mut assumed = Vec::new();
    let docroot = match (options.docroot.or_else(|| target.nginx_root.clone()), &target.kind) {
        (Some(docroot), _) => docroot,
        (None, TargetKind::Local { docroot }) => workplace.path(docroot)?.to_string_lossy().into_owned(),
        (None, TargetKind::Sftp(sftp)) => {
            assumed.push(format!(
                "`root` is {0}/current, the docroot as SFTP sees it; for an account in a chroot nginx sees another path: \
                 set `nginx-root` in [targets.{1}], such as \"/srv/syntax{0}\"",
                sftp.docroot, workplace.target_name
            ));
            sftp.docroot.clone()
        }
    };
    let url = config.site.url.as_ref();
    let tls = !options.without_tls && url.is_none_or(WebUrl::is_https);
    let version = options.version.or(target.nginx_version).unwrap_or_else(|| {
        if tls && matches!(target.kind, TargetKind::Sftp(_)) {
            assumed.push(format!(
                "printed for nginx {} or later; an older one refuses `http2 on`: set `nginx-version` in [targets.{}] to \
                 what `nginx -v` prints on the host",
                Version::default(),
                workplace.target_name
            ));
        }
        Version::default()
    });
    let text = render(&Vhost {
        server_name: config.server_name().to_owned(),
        aliases: config.site.aliases.clone(),
        docroot,
        listen: options.listen,
        port: url.and_then(port),
        ipv6: config.nginx.ipv6,
        hsts: config.nginx.hsts.map(|hsts| hsts.as_secs()),
        include: config.nginx.include.clone(),
        access: target.access.clone(),
        channels: config.channels.domain.clone().map(|domain| Channels {
            domain,
            basic_auth: config.channels.basic_auth.clone(),
            allow: config.channels.allow.clone(),
        }),
        tls,
        brotli: !options.without_brotli,
        version,
        rules,
    })?;
    Ok((text, assumed))
}

/// Returns the port of a URL. `None` if it is the default port.
fn port(url: &WebUrl) -> Option<u16> {
    url::Url::parse(url.as_str()).ok()?.port()
}

/// Returns the manual page of a command, or of the tool itself if no command is named.
pub fn man(of: Option<&str>) -> Result<String, Failure> {
    let mut main = Args::command();
    // Adds the global options to each command.
    main.build();
    let Some(of) = of else { return page(&main) };
    let found = main.get_subcommands().find(|command| command.get_name() == of);
    page(found.ok_or_else(|| Failure::NoSuchCommand { name: of.to_owned() })?)
}

/// Writes the manual pages of the tool and of all its commands. Returns the number of pages.
pub fn write_man_pages(folder: &Path) -> Result<u64, Failure> {
    let mut main = Args::command();
    main.build();
    let mut pages = vec![("syntax-publish.1".to_owned(), page(&main)?)];
    for command in main.get_subcommands() {
        let name = command.get_name();
        pages.push((format!("syntax-publish-{name}.1"), page(command)?));
    }
    let failed = |source| {
        let what = format!("write manual pages to {}", shown(folder));
        Failure::Io { what, source }
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    for (name, page) in &pages {
        std::fs::write(folder.join(name), page).map_err(failed)?;
    }
    Ok(pages.len() as u64)
}

/// Returns one page: what `clap_mangen` generates for the command, and its examples line by line.
fn page(command: &clap::Command) -> Result<String, Failure> {
    let examples = command.get_after_help().map(ToString::to_string);
    let man = clap_mangen::Man::new(command.clone());
    let mut page = Vec::new();
    let written = man
        .render_title(&mut page)
        .and_then(|()| man.render_name_section(&mut page))
        .and_then(|()| man.render_synopsis_section(&mut page))
        .and_then(|()| man.render_description_section(&mut page))
        .and_then(|()| man.render_options_section(&mut page))
        .and_then(|()| match command.get_subcommands().next() {
            Some(_) => man.render_subcommands_section(&mut page),
            None => Ok(()),
        });
    written.map_err(|source| Failure::Output { source })?;
    let mut text = String::from_utf8_lossy(&page).into_owned();
    if let Some(examples) = examples {
        text += ".SH EXAMPLES\n.nf\n";
        for line in examples.lines().skip(1) {
            text += &line.replace('\\', "\\e").replace('-', "\\-");
            text.push('\n');
        }
        text += ".fi\n";
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Args::command().debug_assert();
    }
}
