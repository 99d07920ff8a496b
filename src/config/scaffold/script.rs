//! Settings in a configuration that is a script, as far as its text shows them without being run. Pure.
//!
//! The file is a program. Only settings with plain values are read, given directly or through a constant of the same
//! file. This module must never guess: a computed value is reported as computed.

/// One setting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Setting {
    /// It is absent, so the default applies.
    #[default]
    Absent,
    /// It has this value, a string.
    Is(String),
    /// It is present, but only running the file would show its value.
    Computed,
}

impl Setting {
    /// The value, if it is plain.
    pub fn plain(&self) -> Option<&str> {
        match self {
            Self::Is(value) => Some(value),
            Self::Absent | Self::Computed => None,
        }
    }
}

/// A part of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum JsToken {
    /// A string without interpolation.
    Text(String),
    /// A name, a keyword or a number.
    Word(String),
    /// A punctuation character; `~` represents anything without a plain value.
    Mark(char),
}

impl JsToken {
    fn is(&self, mark: char) -> bool {
        *self == Self::Mark(mark)
    }
}

/// Finds the least deeply nested setting with a name: `output` of the configuration, not of an object inside it.
pub(super) fn setting(tokens: &[JsToken], key: &str) -> Setting {
    let mut best: Option<(usize, Setting)> = None;
    // For each enclosing brace, whether it is the value of another setting.
    let mut braces: Vec<bool> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| tokens.get(at));
        let depth = braces.len();
        match token {
            JsToken::Mark('{') => {
                let is_value = depth > 0 && before.is_some_and(|before| before.is(':'));
                braces.push(is_value);
            }
            JsToken::Mark('}') => drop(braces.pop()),
            JsToken::Word(name) | JsToken::Text(name) if name == key && depth > 0 && !braces.contains(&true) => {
                let begins = before.is_some_and(|before| before.is('{') || before.is(','));
                let after = &tokens[at + 1..];
                let found = match after {
                    [colon, ..] if begins && colon.is(':') => plain(tokens, &after[1..]),
                    // Shorthand: the value is the constant of that name.
                    [end, ..] if begins && (end.is(',') || end.is('}')) => constant(tokens, key),
                    _ => continue,
                };
                if best.as_ref().is_none_or(|(deepest, _)| depth < *deepest) {
                    best = Some((depth, found));
                }
            }
            // `config.output = …` overrides the object.
            JsToken::Mark('=') => {
                if let [dot, JsToken::Word(name)] = &tokens[at.saturating_sub(2)..at]
                    && dot.is('.')
                    && name == key
                {
                    return plain(tokens, &tokens[at + 1..]);
                }
            }
            _ => {}
        }
    }
    best.map_or(Setting::Absent, |(_, found)| found)
}

/// Finds a setting inside the object that is the value of another setting.
pub(super) fn inner_setting(tokens: &[JsToken], outer: &str, key: &str) -> Setting {
    let begins = |window: &[JsToken]| {
        let [JsToken::Word(name) | JsToken::Text(name), colon, brace] = window else {
            return false;
        };
        name == outer && colon.is(':') && brace.is('{')
    };
    let Some(at) = tokens.windows(3).position(begins) else {
        return Setting::Absent;
    };
    let mut depth = 0_usize;
    let inner = tokens[at + 2..].iter().take_while(|token| {
        let was_open = depth > 0;
        depth = match token {
            JsToken::Mark('{') => depth + 1,
            JsToken::Mark('}') => depth.saturating_sub(1),
            _ => depth,
        };
        depth > 0 || was_open
    });
    setting(&inner.cloned().collect::<Vec<_>>(), key)
}

/// The value at the start of some tokens, if it is a single plain one.
fn plain(tokens: &[JsToken], value: &[JsToken]) -> Setting {
    // `as const` (in `'export' as const`) and `satisfies` of TypeScript don't change the value.
    let ends = |token: Option<&JsToken>| match token {
        None => true,
        Some(JsToken::Mark(mark)) => matches!(mark, ',' | '}' | ';' | ')'),
        Some(JsToken::Word(word)) => matches!(&**word, "as" | "satisfies" | "const" | "export" | "module" | "let"),
        Some(JsToken::Text(_)) => false,
    };
    match value {
        [JsToken::Text(text), rest @ ..] if ends(rest.first()) => Setting::Is(text.clone()),
        [JsToken::Word(word), rest @ ..] if ends(rest.first()) => match &**word {
            "undefined" => Setting::Absent,
            name => constant(tokens, name),
        },
        _ => Setting::Computed,
    }
}

/// The value of a `const` of the file.
fn constant(tokens: &[JsToken], name: &str) -> Setting {
    let found = tokens.windows(4).find_map(|window| match window {
        [JsToken::Word(how), JsToken::Word(what), is, value] if how == "const" && what == name && is.is('=') => {
            Some(value)
        }
        _ => None,
    });
    match found {
        Some(JsToken::Text(text)) => Setting::Is(text.clone()),
        _ => Setting::Computed,
    }
}

/// Splits a script into tokens, without its comments. A subset of JavaScript is enough: it only has to find where
/// strings, comments and regular expressions start and end.
pub(super) fn tokens(text: &str) -> Vec<JsToken> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' | '\'' | '`' => {
                let (token, length) = string(rest, first);
                tokens.push(token);
                length
            }
            '/' if begins_expression(tokens.last()) => {
                tokens.push(JsToken::Mark('~'));
                expression(rest)
            }
            c if is_of_word(c) => {
                let length = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
                tokens.push(JsToken::Word(rest[..length].to_owned()));
                length
            }
            c if c.is_whitespace() => c.len_utf8(),
            c => {
                tokens.push(JsToken::Mark(c));
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    tokens
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// Reads the string at the start of a text. Returns its token and its length including the quotes.
fn string(text: &str, quote: char) -> (JsToken, usize) {
    let mut value = String::new();
    let mut is_plain = true;
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, escaped)) if !escaped.is_ascii_alphanumeric() => value.push(escaped),
                _ => is_plain = false,
            },
            '\n' if quote != '`' => return (JsToken::Mark('~'), at),
            c if c == quote => {
                let token = if is_plain {
                    JsToken::Text(value)
                } else {
                    JsToken::Mark('~')
                };
                return (token, at + c.len_utf8());
            }
            '$' if quote == '`' && text[at..].starts_with("${") => is_plain = false,
            c => value.push(c),
        }
    }
    (JsToken::Mark('~'), text.len())
}

/// Whether a slash after this token starts a regular expression and is not a division.
fn begins_expression(before: Option<&JsToken>) -> bool {
    match before {
        None => true,
        Some(JsToken::Text(_)) => false,
        Some(JsToken::Word(word)) => matches!(&**word, "return" | "case" | "typeof" | "in" | "of"),
        Some(JsToken::Mark(mark)) => !matches!(mark, ')' | ']' | '}' | '~'),
    }
}

/// The length of the regular expression at the start of a text.
fn expression(text: &str) -> usize {
    let mut in_class = false;
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '[' => in_class = true,
            ']' => in_class = false,
            '/' if !in_class => return at + 1,
            '\n' => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct NextConfig {
        output: Setting,
        dist_dir: Setting,
        base_path: Setting,
    }

    impl NextConfig {
        fn read(text: &str) -> Self {
            let tokens = tokens(text);
            Self {
                output: setting(&tokens, "output"),
                dist_dir: setting(&tokens, "distDir"),
                base_path: setting(&tokens, "basePath"),
            }
        }
    }

    fn is(text: &str) -> Setting {
        Setting::Is(text.to_owned())
    }

    #[test]
    fn settings_of_an_object_are_read() {
        let config = NextConfig::read(
            "import type { NextConfig } from 'next';\n\
             // output: 'standalone',\n\
             const config: NextConfig = {\n  output: \"export\" as const,\n  /* distDir: 'a' */\n  'distDir': `dist`,\n  \
             basePath: '/docs',\n  trailingSlash: true,\n  images: { unoptimized: true, output: 'x' },\n};\nexport default config;\n",
        );
        assert_eq!(
            config,
            NextConfig {
                output: is("export"),
                dist_dir: is("dist"),
                base_path: is("/docs"),
            }
        );
    }

    #[test]
    fn what_is_computed_is_not_guessed() {
        let config = NextConfig::read(
            "module.exports = { output: process.env.X ? 'export' : undefined, basePath: `/${name}`, distDir: dir() }",
        );
        assert_eq!(config.output, Setting::Computed);
        assert_eq!(config.base_path, Setting::Computed);
        assert_eq!(config.dist_dir, Setting::Computed);
    }

    #[test]
    fn constants_of_the_file_are_followed() {
        let config = NextConfig::read(
            "import { x } from './x.mjs';\nconst BASE = '/handbook';\nconst distDir = 'build';\n\
             export default withMdx({ output: x, basePath: BASE, distDir, trailingSlash: true });",
        );
        assert_eq!(config.base_path, is("/handbook"));
        assert_eq!(config.dist_dir, is("build"));
        assert_eq!(config.output, Setting::Computed);
    }

    #[test]
    fn a_later_assignment_decides() {
        let config = NextConfig::read("const config = { output: 'standalone' };\nconfig.output = 'export';\n");
        assert_eq!(config.output, is("export"));
    }

    #[test]
    fn settings_inside_others_are_not_those_of_the_site() {
        let config = NextConfig::read(
            "export default async (phase) => { const a = /[/'\"]{/.test(phase); return { env: { basePath: '/no' }, output: 'export' } }",
        );
        assert_eq!(config.output, is("export"));
        assert_eq!(config.base_path, Setting::Absent);
        assert_eq!(NextConfig::read("export default {}").base_path, Setting::Absent);
    }

    #[test]
    fn no_text_makes_it_fail() {
        for text in [
            "",
            "{",
            "'",
            "`${",
            "/",
            "/*",
            "output:",
            "{output:",
            "\\",
            "{ basePath: 'a\n' }",
            "größe: 'é",
        ] {
            let _ = NextConfig::read(text);
        }
    }
}
