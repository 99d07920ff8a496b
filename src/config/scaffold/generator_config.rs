//! The configuration of Docusaurus, Astro or `VitePress`, as far as its text shows it without being run. Pure.
//!
//! As with that of Next.js, only plain values are read: this module must never guess.

use super::next_config::{Setting, inner_setting, setting, tokens};
use crate::model::generator::Generator;

/// The names of the configurations, without their endings.
pub const FILES: [(Generator, &str); 3] = [
    (Generator::Docusaurus, "docusaurus.config"),
    (Generator::Astro, "astro.config"),
    (Generator::VitePress, ".vitepress/config"),
];

/// The endings of a configuration.
pub const ENDINGS: [&str; 6] = ["ts", "mjs", "js", "mts", "cts", "cjs"];

/// The settings that matter to a publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratorConfig {
    /// The generator whose configuration it is.
    pub generator: Generator,
    /// The public address.
    pub address: Setting,
    /// The path that all addresses of the site start with.
    pub base: Setting,
    /// Where the export goes.
    pub out: Setting,
}

impl GeneratorConfig {
    /// Parses the text of the file.
    #[must_use]
    pub fn read(generator: Generator, text: &str) -> Self {
        let tokens = tokens(text);
        let of = |key| setting(&tokens, key);
        let (address, base, out) = match generator {
            // Its folder is an option of the command line.
            Generator::Docusaurus => (of("url"), of("baseUrl"), Setting::Absent),
            Generator::VitePress => (inner_setting(&tokens, "sitemap", "hostname"), of("base"), of("outDir")),
            Generator::Astro | Generator::Next | Generator::Static => (of("site"), of("base"), of("outDir")),
        };
        Self {
            generator,
            address,
            base,
            out,
        }
    }

    /// The folder of the export, relative to the site; `None` if only running the file would show it.
    #[must_use]
    pub fn destination(&self) -> Option<&str> {
        let default = match self.generator {
            Generator::Docusaurus => "build",
            Generator::VitePress => ".vitepress/dist",
            Generator::Astro | Generator::Next | Generator::Static => "dist",
        };
        match &self.out {
            Setting::Absent => Some(default),
            Setting::Is(folder) => Some(folder.trim_start_matches("./").trim_end_matches('/')),
            Setting::Computed => None,
        }
        .filter(|folder| !folder.is_empty() && !folder.starts_with('/') && !folder.contains(".."))
    }

    /// The base path as `[next]` has it: without a slash at its end, which is how the root is no base path.
    #[must_use]
    pub fn base_path(&self) -> Option<String> {
        let base = self.base.plain()?.trim_matches('/');
        (!base.is_empty()).then(|| format!("/{base}"))
    }

    /// The name of [`Self::base`] in the file.
    #[must_use]
    pub const fn base_key(&self) -> &'static str {
        match self.generator {
            Generator::Docusaurus => "baseUrl",
            Generator::Astro | Generator::VitePress | Generator::Next | Generator::Static => "base",
        }
    }

    /// The command that writes the export.
    #[must_use]
    pub const fn command(&self) -> &'static str {
        match self.generator {
            Generator::Docusaurus => "docusaurus build",
            Generator::Astro => "astro build",
            Generator::VitePress => "vitepress build",
            Generator::Next | Generator::Static => "next build",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(text: &str) -> Setting {
        Setting::Is(text.to_owned())
    }

    #[test]
    fn address_base_and_folder_of_each_generator_are_read() {
        let docusaurus = GeneratorConfig::read(
            Generator::Docusaurus,
            "// @ts-check\nconst config = {\n  title: 'Docs', url: 'https://docs.acme.dev', baseUrl: '/handbook/',\n  \
             themeConfig: { navbar: { items: [{ url: 'https://no.dev' }] } },\n};\nexport default config;",
        );
        assert_eq!(docusaurus.address, is("https://docs.acme.dev"));
        assert_eq!(docusaurus.base_path().as_deref(), Some("/handbook"));
        assert_eq!(docusaurus.destination(), Some("build"));
        let astro = GeneratorConfig::read(
            Generator::Astro,
            "export default defineConfig({ site: \"https://docs.acme.dev\", base: 'docs', outDir: './public_html/',\n\
             image: { outDir: 'no' }, integrations: [sitemap()] });",
        );
        assert_eq!(astro.address, is("https://docs.acme.dev"));
        assert_eq!(astro.base_path().as_deref(), Some("/docs"));
        assert_eq!(astro.destination(), Some("public_html"));
        let vitepress = GeneratorConfig::read(
            Generator::VitePress,
            "export default defineConfig({ base: '/', hostname: 'https://no.dev',\n\
             sitemap: { transformItems: (items) => { return items }, hostname: 'https://docs.acme.dev' } })",
        );
        assert_eq!(vitepress.address, is("https://docs.acme.dev"));
        assert_eq!(vitepress.base_path(), None);
        assert_eq!(vitepress.destination(), Some(".vitepress/dist"));
    }

    #[test]
    fn what_is_computed_or_leads_elsewhere_is_not_guessed() {
        let docusaurus = GeneratorConfig::read(Generator::Docusaurus, "export default { url: process.env.URL ?? 'x' }");
        assert_eq!(docusaurus.address, Setting::Computed);
        let astro = GeneratorConfig::read(
            Generator::Astro,
            "export default { site: SITE, outDir: join('a', 'b') }",
        );
        assert_eq!((&astro.address, astro.destination()), (&Setting::Computed, None));
        for out in ["../dist", "/srv/www", ""] {
            let astro = GeneratorConfig::read(Generator::Astro, &format!("export default {{ outDir: '{out}' }}"));
            assert_eq!(astro.destination(), None, "{out}");
        }
        for text in [
            "export default { sitemap: make({ hostname: 'https://x.dev' }) }",
            "export default {}",
            "sitemap: {",
        ] {
            let vitepress = GeneratorConfig::read(Generator::VitePress, text);
            assert_eq!(vitepress.address, Setting::Absent, "{text}");
        }
    }
}
