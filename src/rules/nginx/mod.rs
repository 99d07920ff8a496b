//! Prints the nginx vhost that serves a release store as Next.js intends its export to be served. Pure.
//!
//! [`crate::rules`] decides what a request gets. Its lists and tables are printed here, and the preview answers by the
//! same ones. This module is only responsible for the nginx syntax.
//!
//! The vhost does not change from release to release: nothing in it names a release, so a publish never needs a reload.
//! It must never:
//!
//! - **redirect anywhere but to a page of this site.** A `Location` is the base path, or is made of the bytes that the
//!   visitor sent, still percent-encoded and checked by one strict expression. `$uri` is decoded, and in a header it
//!   would be an open redirect or inject a second header.
//! - **call a response immutable that isn't the requested file.** A browser would keep an error, or the file of another
//!   path, under an immutable path for a year.
//! - **affect another vhost of the same nginx.** All it adds at http level are maps, whose variable names are derived from
//!   the server name.
//!
//! Every header is added once, at server level. If its value depends on the response, it comes from a variable. An
//! `add_header` in a location would drop all others for that location.

mod answer;
mod channels;
mod pages;
#[cfg(test)]
mod tests;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::model::cache::{CacheClass, PathPattern};
use crate::model::encoding::Coding;
use crate::model::generator::Generator;
use crate::model::layout;
use crate::model::media;
use crate::model::redirect::{self, END};
use crate::next::url::CLIENT;
use crate::rules::address::{DISGUISES, HARMLESS};
use crate::rules::languages::{self, TAG};
use crate::rules::types::CHARSET;
use crate::rules::{CODINGS, Rules, fingerprint, headers, redirects};

use self::answer::added;

pub use self::channels::Channels;
pub use crate::rules::PageForm;
pub use values::{Version, VhostError, is_file, is_includable};

/// The folder where certbot puts the files that Let's Encrypt requests: the one that Debian's default site serves.
const ACME: &str = "/var/www/html";

/// The longest host name that fits nginx's default hash bucket size on common machines.
const LONGEST_NAME: usize = 46;

/// The input for a vhost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vhost {
    /// The host name of the site.
    pub server_name: String,
    /// Other host names, which lead to the same address of the site.
    pub aliases: Vec<String>,
    /// The docroot as nginx sees it: the absolute path of the folder that contains `current`.
    pub docroot: String,
    /// `ADDR:PORT` or `PORT`. If it is given, the vhost listens only there and prints no redirect from port 80.
    /// Otherwise it listens on `port`.
    pub listen: Option<String>,
    /// The port of the site's URL; `None` for the default port.
    pub port: Option<u16>,
    /// Whether the vhost listens on IPv6 in addition to IPv4.
    pub ipv6: bool,
    /// How many seconds browsers must use only HTTPS (HSTS); `None` for no such header.
    pub hsts: Option<u64>,
    /// Files on the host that the server block includes.
    pub include: Option<String>,
    /// Who is to see the site.
    pub access: Access,
    /// The previews; `None` if the vhost shows none.
    pub channels: Option<Channels>,
    /// Whether the vhost speaks TLS, with the certificate at the path that certbot uses.
    pub tls: bool,
    /// Whether the host's nginx has the module that serves `.br` files.
    pub brotli: bool,
    /// The nginx version to print for.
    pub version: Version,
    /// What requests get.
    pub rules: Rules,
}

/// Who is to see a site: by default everyone, and search engines may list it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Whether search engines are asked to leave the whole site out.
    pub noindex: bool,
    /// The file on the host with the names and passwords that visitors need; `None` if they need none.
    pub basic_auth: Option<String>,
}

impl Access {
    /// Whether search engines can't list the site.
    #[must_use]
    pub const fn is_hidden(&self) -> bool {
        self.noindex || self.basic_auth.is_some()
    }
}

/// Prints the vhost.
///
/// # Errors
///
/// If a value can't be written into a configuration file without the risk of ending its directive.
pub fn render(vhost: &Vhost) -> Result<String, VhostError> {
    let site = Site {
        name: values::server_name(&vhost.server_name)?,
        aliases: vhost
            .aliases
            .iter()
            .map(|name| values::server_name(name))
            .collect::<Result<_, _>>()?,
        docroot: values::docroot(&vhost.docroot)?,
        root: format!("{}/{}", values::docroot(&vhost.docroot)?, layout::CURRENT),
        certificate: values::server_name(&vhost.server_name)?,
        listen: vhost.listen.as_deref().map(values::listen).transpose()?,
        base: values::base_path(&vhost.rules.base_path)?,
        asset_prefix: values::base_path(&vhost.rules.asset_prefix)?,
        immutable: alternatives(vhost.rules.classes.immutable())?,
        pooled: alternatives(vhost.rules.classes.pooled())?,
        copies: copies(&vhost.rules)?,
        types: types(&vhost.rules),
        vhost,
    };
    if let Some(id) = &vhost.rules.deployment_id {
        values::deployment_id(id)?;
    }
    if let Some(path) = vhost.include.as_ref().filter(|path| !is_includable(path)) {
        return Err(VhostError::Include(path.clone()));
    }
    if let Some(path) = vhost.access.basic_auth.as_ref().filter(|path| !values::is_file(path)) {
        return Err(VhostError::BasicAuth(path.clone()));
    }
    let mut text = site.preamble();
    text += &site.maps();
    text += &site.moved_maps();
    text += &site.custom_maps()?;
    text += &site.language_maps();
    text += &site.own_map();
    text += &site.deployments();
    if site.has_plain_server() {
        text += &site.plain_server(&site.names().join(" "), &site.name);
    }
    text += &site.alias_server();
    text += &site.server(&site.name, "");
    if let Some(channels) = &vhost.channels {
        text += &site.channel_servers(channels)?;
    }
    Ok(text)
}

/// The validated values of one vhost.
#[derive(Clone)]
struct Site<'a> {
    name: String,
    aliases: Vec<String>,
    docroot: &'a str,
    /// What leads to the tree that is served.
    root: String,
    /// The name of the certificate.
    certificate: String,
    listen: Option<&'a str>,
    base: &'a str,
    asset_prefix: &'a str,
    /// The paths of immutable files, as one group of a regular expression.
    immutable: String,
    /// The paths of the pool, in the same form.
    pooled: String,
    /// The folder of the fingerprinted copies, without its slash.
    copies: &'a str,
    types: BTreeMap<String, BTreeSet<String>>,
    vhost: &'a Vhost,
}

impl Site<'_> {
    fn variable(&self, what: &str) -> String {
        format!("${}_{what}", values::variable_prefix(&self.name))
    }

    fn preamble(&self) -> String {
        let mut text = format!(
            "# {name}: {what}, published by syntax-publish.\n\
             # For nginx {version} and later. Printed by `syntax-publish nginx`: don't edit it, print it again. Lines of\n\
             # your own go into a file of their own, which `include` in [nginx] of the site manifest names.\n\
             # It goes where http-level files go (sites-enabled/) and changes no other vhost.\n",
            name = self.name,
            what = match self.vhost.rules.classes.made_by() {
                Generator::Next => "a static export of Next.js",
                Generator::Docusaurus => "a site of Docusaurus",
                Generator::Astro => "a site of Astro",
                Generator::VitePress => "a site of VitePress",
                Generator::Static => "a static site",
            },
            version = self.vhost.version,
        );
        if self.vhost.tls {
            let _ = write!(
                text,
                "#\n\
                 # nginx does not start without the certificate. To get it first, while Debian's default site is enabled:\n\
                 #     certbot certonly --webroot -w {ACME} -d {}\n",
                self.names().join(" -d ")
            );
        }
        if self.name.len() > LONGEST_NAME {
            text += "#\n\
                # This host name is long. If nginx says `could not build server_names_hash`, put this line into the http\n\
                # block of nginx.conf:\n\
                #     server_names_hash_bucket_size 128;\n";
        }
        text += self.hash_remark();
        if self.vhost.brotli {
            text += "#\n\
                # brotli_static needs the module ngx_http_brotli_static_module (Debian:\n\
                # libnginx-mod-http-brotli-static). Without it: `syntax-publish nginx --without-brotli`.\n";
        }
        text + "#\n\
            # Behind Cloudflare the logs name its servers instead of the visitors, unless the server block has\n\
            #     set_real_ip_from 173.245.48.0/20;    # and every other range of https://www.cloudflare.com/ips/\n\
            #     real_ip_header CF-Connecting-IP;\n"
    }

    /// The map that validates the deployment ID that a client sends.
    fn deployments(&self) -> String {
        if self.vhost.rules.deployment_id.is_none() {
            return String::new();
        }
        format!(
            r#"
# The deployment that Next.js's client names.
map $http_{header} {claimed} {{
    default "";
    "~^({id})\z" $1;
}}
"#,
            header = headers::CLIENT_DEPLOYMENT.replace('-', "_"),
            claimed = self.variable("claim"),
            id = headers::DEPLOYMENT_ID,
        )
    }

    /// The maps of the redirects: which entry of the release is for an address, what its answer is, and the patterns.
    fn moved_maps(&self) -> String {
        let mut places = String::new();
        for (place, start) in redirect::PLACES {
            let folder = format!("~/{}/(30[1278])/{place}", layout::MOVED);
            let _ = write!(
                places,
                "    \"{folder}(/[^?#]*)(#.*)?{END}\\z\" \"$1{start}$2$is_args$args$3\";\n    \
                     \"{folder}(/.*){END}\\z\" \"$1{start}$2\";\n",
            );
        }
        let mut text = format!(
            r#"
# The entry of the release for the address of a moved page, and the answer that it leads to: status and Location. The
# visitor's query is passed on unless the answer has one. `volatile`: an address may be looked up twice.
map "{path} {sought}" {source} {{
    default "/{END}";
    "~^[^ ]* /\z" "/";
    "~(?s)^[^ ]+ (/.+?)/?\z" $1;
}}
map $realpath_root {answer} {{
    volatile;
    default "";
{places}}}
"#,
            path = self.variable("path"),
            sought = self.variable("sought"),
            source = self.variable("from"),
            answer = self.variable("answer"),
        );
        let mut patterns = self.vhost.rules.redirects.patterns().peekable();
        if patterns.peek().is_none() {
            return text;
        }
        let _ = writeln!(
            text,
            "\n# Patterns of redirects, for addresses that no release can list. None is for what Next.js's client asks for: the\n\
             # parts of a page would lead elsewhere than the page. It loads the page then, and follows its redirect.\n\
             map \"$arg_{parameter} {sought}\" {page} {{\n    \
                 default \"\";\n    \
                 \"~^ (?!{CLIENT})\" {path};\n\
             }}\n\
             map {page} {matched} {{\n    default \"\";",
            parameter = redirects::OF_PAYLOADS,
            sought = self.variable("sought"),
            page = self.variable("page"),
            path = self.variable("path"),
            matched = self.variable("match"),
        );
        for rule in patterns {
            let (path, query, fragment) = rule.target_of_groups();
            let query = if query.is_empty() {
                "$is_args$args".to_owned()
            } else {
                query
            };
            let _ = writeln!(
                text,
                "    \"~{}\" \"{}{path}{query}{fragment}\";",
                rule.regex(),
                rule.status()
            );
        }
        text + "}\n"
    }

    /// The maps of languages: the folder of a missing address, and the visitor's language.
    fn language_maps(&self) -> String {
        let mut text = format!(
            r#"
# The folder whose page for missing files an address gets: that of its language.
map {path} {missing} {{
    default "";
    "~^{base}(/{TAG})/" $1;
}}
"#,
            path = self.variable("path"),
            missing = self.variable("lost"),
            base = values::pattern(self.base),
        );
        if let Some(first) = self.vhost.rules.languages.first() {
            let _ = write!(
                text,
                "\n# The first language of the visitor's that the site has.\n\
                 map $http_accept_language {} {{\n    default {first};\n    \"~{}\" $1;\n}}\n",
                self.variable("lang"),
                languages::regex(&self.vhost.rules.languages),
            );
        }
        text
    }

    /// The map from the visitor's spelling of a page's file to the page's own address.
    fn own_map(&self) -> String {
        if !self.vhost.rules.one_address {
            return String::new();
        }
        format!(
            r#"
# The address of a page, given that of its file.
map {path} {own} {{
    default "";
    "~^(.*/)index[.]html\z" $1;
    "~^(.+)[.]html\z" $1;
}}
"#,
            path = self.variable("path"),
            own = self.variable("own"),
        )
    }

    fn maps(&self) -> String {
        // In a character class the hyphen is literal only at the end.
        let harmless = HARMLESS.replace('[', r"\[").replace(']', r"\]");
        let carrying = headers::CARRYING.map(|status| status.to_string());
        format!(
            r#"
# What a browser may keep. Errors: nothing, whatever their path; files that never change under one
# name: for good; everything else: only if it revalidates each time. `volatile`: nginx may write the headers of
# one request twice (a range that can't be satisfied), with another status.
map $status:$uri {cache} {{
    volatile;
    default "{revalidate}";
    "~^[45]" "{no_store}";
    "~(?s)^(?:{carrying}):/{immutable}" "{forever}";
}}

# The copy that a fingerprint in the query names, and the file that a copy was made of.
# `volatile`: the error page is another file of the same request.
map "$arg_{parameter}:$uri" {copy} {{
    volatile;
    default "";
    "~(?s)^([0-9a-f]{{{length}}}):(?!.*/[.])(/.*[^/])([.][0-9A-Za-z]+)\z" "/{copies}$2.$1$3";
}}
map $uri {plain} {{
    default "/.none";
    "~(?s)^/{copies_pattern}(/.*[^/])[.][0-9a-f]{{{length}}}([.][0-9A-Za-z]+)\z" "$1$2";
}}

# The tree that `current` leads to.
map $realpath_root {tree} {{
    default "";
    "~/{trees}/([0-9a-f]+)\z" $1;
}}

# The path as the visitor spelled it, without the slash at its end: the only source of redirects.
# Empty, and then there is none, unless every segment has a name, and none starts with a slash or a
# backslash in disguise.
map $request_uri {path} {{
    default "";
    "~*^((?:/(?!{disguises})(?:[0-9a-z{harmless}]|%[0-9a-f][0-9a-f])++)+)/?(?:[?]|\z)" $1;
}}
"#,
            cache = self.variable("cache"),
            immutable = self.immutable,
            path = self.variable("path"),
            tree = self.variable("tree"),
            trees = layout::TREES,
            revalidate = CacheClass::Revalidate.cache_control(),
            forever = CacheClass::Immutable.cache_control(),
            no_store = headers::NO_STORE,
            carrying = carrying.join("|"),
            disguises = DISGUISES.join("|"),
            parameter = fingerprint::PARAMETER,
            length = fingerprint::LENGTH,
            copy = self.variable("copy"),
            plain = self.variable("plain"),
            copies = self.copies,
            copies_pattern = values::pattern(self.copies),
        )
    }

    /// The server of these names; `first` comes before the locations.
    fn server(&self, names: &str, first: &str) -> String {
        let sections = [
            self.listeners(names),
            self.files(),
            self.encodings(),
            self.media_types(),
            self.headers(),
            first.to_owned(),
            self.pages(),
            self.included(),
        ];
        let sections: Vec<String> = sections.into_iter().filter(|section| !section.is_empty()).collect();
        format!("\nserver {{\n{}\n}}\n", indented(&sections.join("\n")).trim_end())
    }

    /// Whether the vhost redirects from HTTP: only for the default ports.
    fn has_plain_server(&self) -> bool {
        self.vhost.tls && self.vhost.listen.is_none() && self.vhost.port.is_none()
    }

    /// The redirect from HTTP, under these names, to a host.
    fn plain_server(&self, names: &str, host: &str) -> String {
        let lines = format!(
            "{listen}\
             server_name {names};\n\
             server_tokens off;\n\
             {headers}\
             \n\
             # The name is fixed: the request's own would send visitors wherever a Host header says.\n\
             location / {{\n    \
                 return 308 https://{host}$request_uri;\n\
             }}\n\
             # Certificates are renewed by a file that is requested here (HTTP-01, \"webroot\"). Its folder must not\n\
             # be the docroot: what lies there is the store's, and a stray file would damage a release.\n\
             location ^~ /.well-known/acme-challenge/ {{\n    \
                 root {ACME};\n\
             }}\n",
            listen = self.listen_on(80, ""),
            headers = added(headers::SECURITY.into_iter()),
        );
        format!("\nserver {{\n{}}}\n", indented(&lines))
    }

    /// All names of the site, its own first.
    fn names(&self) -> Vec<&str> {
        std::iter::once(&self.name)
            .chain(&self.aliases)
            .map(String::as_str)
            .collect()
    }

    /// The server of the other names. They need names in the certificate of the site.
    fn alias_server(&self) -> String {
        if self.aliases.is_empty() {
            return String::new();
        }
        let scheme = if self.vhost.tls { "https" } else { "http" };
        let port = self.vhost.port.map(|port| format!(":{port}")).unwrap_or_default();
        let lines = format!(
            "{listeners}\n\
             server_tokens off;\n\
             {headers}\
             return 308 {scheme}://{name}{port}$request_uri;\n",
            listeners = self.listeners(&self.aliases.join(" ")),
            headers = added(headers::SECURITY.into_iter()),
            name = self.name,
        );
        format!("\n# Other names of the site.\nserver {{\n{}}}\n", indented(&lines))
    }

    /// The `listen` directives for a port.
    fn listen_on(&self, port: u16, parameters: &str) -> String {
        let ipv6 = if self.vhost.ipv6 {
            format!("listen [::]:{port}{parameters};\n")
        } else {
            String::new()
        };
        format!("listen {port}{parameters};\n{ipv6}")
    }

    /// The user's own lines, as an `include`.
    fn included(&self) -> String {
        self.vhost.include.as_ref().map_or_else(String::new, |path| {
            format!("# An `add_header` in a location drops all headers above for that location.\ninclude {path};\n")
        })
    }

    /// What a server listens on, under these names.
    fn listeners(&self, names: &str) -> String {
        let (tls, modern) = (self.vhost.tls, self.vhost.version.has_http2_directive());
        let parameters = match (tls, modern) {
            (false, _) => "",
            (true, true) => " ssl",
            (true, false) => " ssl http2",
        };
        let port = self.vhost.port.unwrap_or(if tls { 443 } else { 80 });
        let mut text = match self.listen {
            Some(listen) => format!("listen {listen}{parameters};\n"),
            None => self.listen_on(port, parameters),
        };
        if tls && modern {
            text += "# Before 1.25.1 nginx refuses `http2 on` and wants `http2` at the end of each `listen` above:\n\
                     # `syntax-publish nginx --nginx-version 1.22` prints it so.\n\
                     http2 on;\n";
        }
        let _ = writeln!(text, "server_name {names};");
        if tls {
            let _ = write!(
                text,
                "\n# Protocols and ciphers are left to the http level: vhosts on one port share them.\n\
                 ssl_certificate /etc/letsencrypt/live/{certificate}/fullchain.pem;\n\
                 ssl_certificate_key /etc/letsencrypt/live/{certificate}/privkey.pem;\n",
                certificate = self.certificate,
            );
        }
        text + &self.password()
    }

    fn files(&self) -> String {
        let links = if self.vhost.brotli {
            "# Links are followed wherever they lead: with `if_not_owner`, ngx_http_brotli_static_module misses some of its\n\
             # files. `syntax-publish nginx --without-brotli` prints it, so that a planted link serves nothing of the host.\n\
             disable_symlinks off;\n"
                .to_owned()
        } else {
            format!(
                "# But a link only to what belongs to the link's own owner: anyone who has the publishing key could\n\
                 # plant one to any file that nginx may read.\n\
                 disable_symlinks if_not_owner from={};\n",
                self.docroot
            )
        };
        format!(
            "# `current` is a symlink, and a publish or a rollback is its replacement: nginx must follow\n\
             # links, and must not remember where they led (open_file_cache), or it serves the old page.\n\
             root {root};\n\
             {links}\
             open_file_cache off;\n\
             autoindex off;\n\
             etag on;\n",
            root = self.root
        )
    }

    fn encodings(&self) -> String {
        let mut text = String::from(
            "# Encodings are files beside the file, made once when publishing; nothing is compressed here.\n\
             # gzip_vary adds `Vary: Accept-Encoding` to whatever has an encoding, in all its forms.\n",
        );
        for coding in CODINGS {
            text += match coding {
                Coding::Brotli if !self.vhost.brotli => "",
                Coding::Brotli => "brotli_static on;\n",
                Coding::Gzip => "gzip_static on;\n",
            };
        }
        text + "gzip_vary on;\n\
            gzip_proxied any;\n\
            gzip off;\n"
    }

    fn media_types(&self) -> String {
        let mut text = String::from("types {\n");
        for (media_type, extensions) in &self.types {
            let extensions: Vec<_> = extensions.iter().map(String::as_str).collect();
            let _ = writeln!(text, "    {media_type} {};", extensions.join(" "));
        }
        let of_paths = self.vhost.rules.types.by_path().iter().map(|own| &own.media_type);
        let charset: BTreeSet<_> = self
            .types
            .keys()
            .chain(of_paths)
            .map(String::as_str)
            // nginx already has this one in its list and warns if it is given again.
            .filter(|media_type| media::is_text(media_type) && *media_type != "text/html")
            .collect();
        let charset: Vec<_> = charset.into_iter().collect();
        let _ = write!(
            text,
            "}}\n\
             types_hash_max_size 4096;\n\
             types_hash_bucket_size 128;\n\
             default_type {};\n\
             charset {CHARSET};\n\
             charset_types {};\n",
            media::UNKNOWN,
            charset.join(" "),
        );
        text
    }
}

/// The types of the built-in table and the site manifest, grouped by type.
fn types(rules: &Rules) -> BTreeMap<String, BTreeSet<String>> {
    let mut by_type: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (extension, media_type) in rules.types() {
        by_type.entry(media_type).or_default().insert(extension);
    }
    by_type
}

/// The folder of the fingerprinted copies, without its slash.
fn copies(rules: &Rules) -> Result<&str, VhostError> {
    let folder = rules.classes.copies();
    values::folder(folder)?;
    Ok(folder.trim_end_matches('/'))
}

/// Path patterns as one group of a regular expression that follows the first slash of a path.
fn alternatives<'a>(patterns: impl Iterator<Item = PathPattern<'a>>) -> Result<String, VhostError> {
    let any = |endings: &[&str]| {
        let endings: Vec<&str> = endings.iter().map(|ending| ending.trim_start_matches('.')).collect();
        match endings[..] {
            [] => "[.][^./]+".to_owned(),
            [ending] => format!("[.]{}", values::pattern(ending)),
            _ => format!("[.](?:{})", values::pattern(&endings.join("|"))),
        }
    };
    let one = |pattern: PathPattern<'a>| {
        Ok(match pattern {
            PathPattern::Below { folder, endings: [] } => format!("{}/", values::folder(folder)?),
            PathPattern::Below { folder, endings } => format!("{}/.*{}\\z", values::folder(folder)?, any(endings)),
            PathPattern::Hashed { folder, hash, endings } => {
                format!("{}/.*{}{}\\z", values::folder(folder)?, hash.regex(), any(endings))
            }
            PathPattern::Matching(glob) => format!("{}\\z", glob.regex()),
        })
    };
    let patterns: Vec<String> = patterns.map(one).collect::<Result<_, _>>()?;
    Ok(format!("(?:{})", patterns.join("|")))
}

fn indented(lines: &str) -> String {
    lines
        .lines()
        .map(|line| match line {
            "" => String::from("\n"),
            line => format!("    {line}\n"),
        })
        .collect()
}
