//! From an address to a file: the locations of the vhost. Pure.
//!
//! All locations speak of the export's own paths. Where the site has a base path, it is taken off
//! before a location is chosen, in one place, so that nothing below knows of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{PageForm, Site, values};
use crate::model::media;

impl Site<'_> {
    /// The locations, and what happens before one is chosen.
    pub(super) fn pages(&self) -> String {
        let mut text = format!(
            r#"absolute_redirect off;
error_page 404 {base}/404.html;
{without_base}
# No dot files, except what /.well-known/ is for.
location ~ "(?:^/[.](?!well-known/)|[^/]/[.])" {{
    return 404;
}}

# An open tab of a former release still asks for its chunks. The live release's own file wins.
location ~ "^/{pooled}/" {{
    try_files $uri @pool;
}}
location @pool {{
    root {docroot}/immutable;
    try_files $uri =404;
}}

location = / {{
    try_files /index.html =404;
}}

"#,
            base = self.base,
            without_base = self.without_base(),
            pooled = self.pooled,
            docroot = self.docroot,
        );
        text += &match self.vhost.form {
            PageForm::Flat => self.flat_pages(),
            PageForm::Folder => self.folder_pages(),
        };
        text += &self.named_types();
        text
    }

    /// Takes the base path off, and refuses what lies outside it.
    ///
    /// `rewrite` and not a variable for `try_files`: at server level it is run once for a request,
    /// never for a named location, so a page whose path begins like the base path keeps its own; and
    /// types, encodings and the cache class all follow `$uri`. The one internal redirect there is,
    /// that to the 404 page, comes by here again, and so is given as an address.
    fn without_base(&self) -> String {
        if self.base.is_empty() {
            return String::new();
        }
        let base = self.base;
        let pattern = values::pattern(base);
        let front = match self.vhost.form {
            // The router asks for the payload of a page by its address and `.txt`, and the front page is no exception.
            PageForm::Flat => format!(
                "if ($uri = {base}/) {{\n    \
                     return 308 {base}$is_args$args;\n\
                 }}\n\
                 rewrite \"^{pattern}\\z\" / break;\n\
                 rewrite \"^{pattern}[.]txt\\z\" /index.txt break;\n\
                 rewrite \"(?s)^{pattern}(/.+)\\z\" $1 break;\n"
            ),
            PageForm::Folder => format!(
                "if ($uri = {base}) {{\n    \
                     return 308 {base}/$is_args$args;\n\
                 }}\n\
                 rewrite \"(?s)^{pattern}(/.*)\\z\" $1 break;\n"
            ),
        };
        // Crawlers, certificate authorities and browsers know these by name and ask the host, whatever
        // path its site has. The site has the host to itself, so nobody else could answer them; where
        // the export has no such file, the answer is 404 as everywhere outside.
        format!(
            "\n\
             # All addresses begin with {base}. It is taken off here, once, before a location is chosen: what\n\
             # follows speaks of paths as the export has them.\n\
             {front}\
             # What the world asks a host for and not a site. Nothing else is served outside {base}.\n\
             rewrite \"(?s)^(/(?:[.]well-known/.+|robots[.]txt|favicon[.]ico))\\z\" $1 break;\n\
             return 404;\n"
        )
    }

    /// `/usage` is `usage.html`. A folder's own index.html has its slash, unless a page has the name.
    fn flat_pages(&self) -> String {
        format!(
            r#"# Pages are files, X.html for /X. /X/ goes there, or is the index.html that a folder brought along.
# That a page exists is asked of the disk, by the decoded path; where to go is said in the visitor's.
location ~ "(?s)^(?<sp_page>/.+)/\z" {{
    if ({path} = "") {{
        return 404;
    }}
    if (-f $document_root$sp_page.html) {{
        return 308 {path}$is_args$args;
    }}
    try_files ${{uri}}index.html =404;
}}
location / {{
    {lookup}
}}
location @other {{
    if (!-f $document_root$uri/index.html) {{
        return 404;
    }}
    if ({path} = "") {{
        return 404;
    }}
    return 308 {path}/$is_args$args;
}}
"#,
            path = self.variable("path"),
            lookup = self.lookup(),
        )
    }

    /// `/usage/` is `usage/index.html`. A page beside its folder has no slash.
    fn folder_pages(&self) -> String {
        format!(
            r#"# Pages are folders, X/index.html for /X/. /X goes there, or is an X.html that came along.
# That a page exists is asked of the disk, by the decoded path; where to go is said in the visitor's.
location ~ "(?s)^(?<sp_page>/.+)/\z" {{
    try_files ${{uri}}index.html @bare;
}}
location @bare {{
    if (!-f $document_root$sp_page.html) {{
        return 404;
    }}
    if ({path} = "") {{
        return 404;
    }}
    return 308 {path}$is_args$args;
}}
location / {{
    {lookup}
}}
location @other {{
    if ({path} = "") {{
        return 404;
    }}
    if (-f $document_root$uri/index.html) {{
        return 308 {path}/$is_args$args;
    }}
    try_files $uri.html =404;
}}
"#,
            path = self.variable("path"),
            lookup = self.lookup(),
        )
    }

    fn lookup(&self) -> &'static str {
        match self.vhost.form {
            PageForm::Flat => "try_files $uri $uri.html @other;",
            PageForm::Folder => "try_files $uri @other;",
        }
    }

    /// The files that have a type without an extension. A page of that name is found all the same:
    /// its `.html` decides before the default does.
    fn named_types(&self) -> String {
        let mut by_type: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, media_type) in media::NAMED {
            by_type.entry(media_type).or_default().push(name);
        }
        let mut text = String::from("\n# Files without an extension.\n");
        for (media_type, names) in by_type {
            let _ = write!(
                text,
                "location ~ \"/(?:{names}){mark}\\z\" {{\n    \
                     default_type {media_type};\n    \
                     {lookup}\n\
                 }}\n",
                names = names.join("|"),
                mark = media::MARK,
                lookup = self.lookup(),
            );
        }
        text
    }
}
