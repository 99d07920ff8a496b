//! The aliases of an `ssh_config`. Pure.
//!
//! It reads only what distinguishes one host from another. ssh itself applies the rest, so a site manifest needs
//! nothing but an alias. `Match` blocks are ignored too, and left to ssh.

/// A host that the ssh configuration defines under its own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The name.
    pub name: String,
    /// The host name that the alias stands for, if the configuration sets one.
    pub host_name: Option<String>,
}

impl Alias {
    /// The host name to connect to.
    #[must_use]
    pub fn host(&self) -> &str {
        self.host_name.as_deref().unwrap_or(&self.name)
    }
}

/// Splits a line of the file into a lower-case keyword and its arguments.
fn words(line: &str) -> Option<(String, Vec<String>)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(|c: char| c.is_whitespace() || c == '=')?;
    let (keyword, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut began) = (false, false);
    for c in rest.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                began = true;
            }
            c if c.is_whitespace() && !quoted => {
                if began {
                    words.push(std::mem::take(&mut word));
                    began = false;
                }
            }
            '#' if !quoted && !began => break,
            c => {
                word.push(c);
                began = true;
            }
        }
    }
    if began {
        words.push(word);
    }
    Some((keyword.to_ascii_lowercase(), words))
}

/// The include patterns of a text, as written.
pub fn includes(text: &str) -> impl Iterator<Item = String> + '_ {
    text.lines()
        .filter_map(words)
        .filter(|(keyword, _)| keyword == "include")
        .flat_map(|(_, names)| names)
}

/// The aliases of a text, in order. Host patterns are not aliases.
#[must_use]
pub fn aliases(text: &str) -> Vec<Alias> {
    let mut aliases: Vec<Alias> = Vec::new();
    // The aliases of the current `Host` block.
    let mut block = 0..0;
    for (keyword, words) in text.lines().filter_map(words) {
        match &*keyword {
            "host" => {
                let begin = aliases.len();
                let is_name = |word: &&String| !word.contains(['*', '?', '!', '%']);
                aliases.extend(words.iter().filter(is_name).map(|name| Alias {
                    name: name.clone(),
                    host_name: None,
                }));
                block = begin..aliases.len();
            }
            "match" => block = 0..0,
            "hostname" => {
                let Some(value) = words.into_iter().next().filter(|value| !value.contains('%')) else {
                    continue;
                };
                for alias in &mut aliases[block.clone()] {
                    // The first value counts, as in ssh.
                    alias.host_name.get_or_insert_with(|| value.clone());
                }
            }
            _ => {}
        }
    }
    aliases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_have_their_host_and_patterns_are_none() {
        let text = "# mine\nInclude config.d/*\nHost pheme www\n  HostName 192.0.2.7\n  User deploy\n  HostName other\n\
                    Host=\"box\"\n\tHostName=box.example.com # here\nHost *.example.com !x\n  User me\nMatch all\n  HostName y\n";
        let alias = |name: &str, host: &str| Alias {
            name: name.to_owned(),
            host_name: Some(host.to_owned()),
        };
        assert_eq!(
            aliases(text),
            [
                alias("pheme", "192.0.2.7"),
                alias("www", "192.0.2.7"),
                alias("box", "box.example.com"),
            ]
        );
        assert_eq!(includes(text).collect::<Vec<_>>(), ["config.d/*"]);
    }
}
