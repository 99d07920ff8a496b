//! The configuration of a generator, as far as its text shows it without being run. Pure.

use super::script::{Setting, inner_setting, setting, tokens};
use crate::model::generator::Generator;

/// A generator's configuration: where it is, and how it spells the settings that matter to a publish.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigForm {
    /// The generator.
    pub generator: Generator,
    /// The name of the file, without its ending.
    pub file: &'static str,
    /// The name of the path that all addresses of the site start with.
    pub base: &'static str,
    /// The name of the folder of the export. `None`: it is an option of the command line.
    out: Option<&'static str>,
    /// The folder of the export if it is not set.
    default_out: &'static str,
    /// The command that writes the export.
    pub command: &'static str,
}

/// The configurations of all generators, Next.js's first.
pub const FORMS: [ConfigForm; 4] = [
    ConfigForm {
        generator: Generator::Next,
        file: "next.config",
        base: "basePath",
        out: Some("distDir"),
        default_out: super::OUT,
        command: "next build",
    },
    ConfigForm {
        generator: Generator::Docusaurus,
        file: "docusaurus.config",
        base: "baseUrl",
        out: None,
        default_out: "build",
        command: "docusaurus build",
    },
    ConfigForm {
        generator: Generator::Astro,
        file: "astro.config",
        base: "base",
        out: Some("outDir"),
        default_out: "dist",
        command: "astro build",
    },
    ConfigForm {
        generator: Generator::VitePress,
        file: ".vitepress/config",
        base: "base",
        out: Some("outDir"),
        default_out: ".vitepress/dist",
        command: "vitepress build",
    },
];

/// The endings of a configuration.
pub const ENDINGS: [&str; 6] = ["ts", "mjs", "js", "mts", "cts", "cjs"];

/// The settings that matter to a publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratorConfig {
    /// How they are spelled.
    pub form: &'static ConfigForm,
    /// Next.js's `output`: only `export` produces a folder of files.
    pub output: Setting,
    /// The public address. Next.js has none.
    pub address: Setting,
    /// The path that all addresses of the site start with.
    base: Setting,
    /// Where the export goes.
    out: Setting,
}

impl GeneratorConfig {
    /// Parses the text of the file.
    #[must_use]
    pub fn read(form: &'static ConfigForm, text: &str) -> Self {
        let tokens = tokens(text);
        let of = |key| setting(&tokens, key);
        Self {
            form,
            output: of("output"),
            address: match form.generator {
                Generator::Docusaurus => of("url"),
                Generator::Astro => of("site"),
                Generator::VitePress => inner_setting(&tokens, "sitemap", "hostname"),
                Generator::Next | Generator::Static => Setting::Absent,
            },
            base: of(form.base),
            out: form.out.map(of).unwrap_or_default(),
        }
    }

    /// The folder of the export, relative to the site; `None` if only running the file would show it.
    #[must_use]
    pub fn destination(&self) -> Option<&str> {
        match &self.out {
            Setting::Absent => Some(self.form.default_out),
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(generator: Generator, text: &str) -> GeneratorConfig {
        let form = FORMS.iter().find(|form| form.generator == generator).unwrap();
        GeneratorConfig::read(form, text)
    }

    fn is(text: &str) -> Setting {
        Setting::Is(text.to_owned())
    }

    #[test]
    fn address_base_and_folder_of_each_generator_are_read() {
        let docusaurus = read(
            Generator::Docusaurus,
            "// @ts-check\nconst config = {\n  title: 'Docs', url: 'https://docs.acme.dev', baseUrl: '/handbook/',\n  \
             themeConfig: { navbar: { items: [{ url: 'https://no.dev' }] } },\n};\nexport default config;",
        );
        assert_eq!(docusaurus.address, is("https://docs.acme.dev"));
        assert_eq!(docusaurus.base_path().as_deref(), Some("/handbook"));
        assert_eq!(docusaurus.destination(), Some("build"));
        let astro = read(
            Generator::Astro,
            "export default defineConfig({ site: \"https://docs.acme.dev\", base: 'docs', outDir: './public_html/',\n\
             image: { outDir: 'no' }, integrations: [sitemap()] });",
        );
        assert_eq!(astro.address, is("https://docs.acme.dev"));
        assert_eq!(astro.base_path().as_deref(), Some("/docs"));
        assert_eq!(astro.destination(), Some("public_html"));
        let vitepress = read(
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
        let docusaurus = read(Generator::Docusaurus, "export default { url: process.env.URL ?? 'x' }");
        assert_eq!(docusaurus.address, Setting::Computed);
        let astro = read(
            Generator::Astro,
            "export default { site: SITE, outDir: join('a', 'b') }",
        );
        assert_eq!((&astro.address, astro.destination()), (&Setting::Computed, None));
        for out in ["../dist", "/srv/www", ""] {
            let astro = read(Generator::Astro, &format!("export default {{ outDir: '{out}' }}"));
            assert_eq!(astro.destination(), None, "{out}");
        }
        for text in [
            "export default { sitemap: make({ hostname: 'https://x.dev' }) }",
            "export default {}",
            "sitemap: {",
        ] {
            let vitepress = read(Generator::VitePress, text);
            assert_eq!(vitepress.address, Setting::Absent, "{text}");
        }
    }
}
