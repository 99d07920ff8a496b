//! The JSON Schema of the site manifest, by which editors complete and check it.
//!
//! Pure. It says what the reader notes while it reads: there is no second list of keys. What each key is for, and its
//! default, is what the reference says in the row of the key. It is draft 7, the newest that Taplo reads completely, which
//! is behind the TOML of most editors; and no table has `allOf`, beside which Taplo sees no keys.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};
use toml::de::DeTable;

use super::report::ProblemList;
use super::shape::{Key, Shape, Table};
use super::{NOT_YET, read};

/// A site manifest that has every table that is read only where the file has it. Each target is named after its kind.
const EVERY_TABLE: &str = "
[targets.local]
kind = \"local\"
[targets.sftp]
kind = \"sftp\"
[[redirects]]
[[headers]]
for = \"/\"
values = {}
[types]
";

/// Describes keys to users.
const REFERENCE: &str = include_str!("../../docs/reference.md");

/// The schema, as text.
#[must_use]
pub fn text() -> String {
    format!("{:#}\n", value())
}

/// The schema.
#[must_use]
pub fn value() -> Value {
    let report = ProblemList::new(EVERY_TABLE);
    let (document, _) = DeTable::parse_recoverable(EVERY_TABLE);
    // The required keys that are missing are problems, which do not matter here.
    read(document.get_ref(), &report);
    let schema = Schema {
        tables: report.into_tables(),
    };
    let mut top = schema.table("", &schema.of(""));
    top["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    top["title"] = json!("site-manifest.toml");
    top
}

struct Schema {
    tables: BTreeMap<String, Table>,
}

impl Schema {
    fn of(&self, path: &str) -> Table {
        self.tables.get(path).cloned().unwrap_or_default()
    }

    /// The schema of the table at `path`.
    fn table(&self, path: &str, table: &Table) -> Value {
        let keys = table.keys.iter();
        let properties: Map<String, Value> = keys
            .map(|(name, key)| ((*name).to_owned(), self.key(path, name, key)))
            .collect();
        let others = match &table.others {
            Some(Shape::Table) => self.kinds(path),
            Some(others) => plain(others),
            None => json!(!table.is_closed),
        };
        let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": others });
        let required: Vec<&str> = required(table).collect();
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        schema
    }

    /// The schema of one of the tables below `path`, which may have any name, and are of two kinds.
    fn kinds(&self, path: &str) -> Value {
        let below = format!("{path}.");
        let mut kinds = self
            .tables
            .iter()
            .filter_map(|(path, table)| Some((path.strip_prefix(&below)?, table)));
        let (Some((first, one)), Some((_, other))) = (kinds.next(), kinds.next()) else {
            return json!({});
        };
        let mut all = one.clone();
        for (name, key) in &other.keys {
            all.keys.entry(name).or_insert_with(|| key.clone());
        }
        for (name, key) in &mut all.keys {
            let is_required = |table: &Table| table.keys.get(name).is_some_and(|key| key.is_required);
            key.is_required = is_required(one) && is_required(other);
        }
        // What only one kind has, or needs.
        let only = |table: &Table| {
            let foreign = all.keys.keys().filter(|name| !table.keys.contains_key(*name));
            let foreign: Map<String, Value> = foreign.map(|name| ((*name).to_owned(), json!(false))).collect();
            json!({ "properties": foreign, "required": required(table).collect::<Vec<_>>() })
        };
        let mut schema = self.table(path, &all);
        schema["if"] = json!({ "properties": { "kind": { "const": first } } });
        schema["then"] = only(one);
        schema["else"] = only(other);
        schema
    }

    /// The schema of the value of a key in the table at `path`.
    fn key(&self, path: &str, name: &str, key: &Key) -> Value {
        let below = if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        };
        let mut schema = match key.shape {
            Shape::Table => self.table(&below, &self.of(&below)),
            Shape::Tables => json!({ "type": "array", "items": self.table(&below, &self.of(&below)) }),
            ref shape => plain(shape),
        };
        let row = Row::of(path, name);
        let mut about = match &row {
            Some(row) => unlinked(row.about),
            None if path.is_empty() => unlinked(&introduction(name)),
            None => String::new(),
        };
        if NOT_YET.contains(&&*below) && !about.contains("ot acted on yet") {
            "Not acted on yet.".clone_into(&mut about);
        }
        let allowed = key
            .expect
            .map(|expect| format!("Allowed: {}. Example: `{}`.", expect.allowed, expect.example));
        let about: Vec<String> = [about]
            .into_iter()
            .chain(allowed)
            .filter(|text| !text.is_empty())
            .collect();
        schema["description"] = json!(about.join("\n\n"));
        if let Some(default) = row.and_then(|row| row.default()) {
            schema["default"] = default;
        }
        schema
    }
}

fn required(table: &Table) -> impl Iterator<Item = &'static str> {
    table
        .keys
        .iter()
        .filter(|(_, key)| key.is_required)
        .map(|(name, _)| *name)
}

/// The schema of a value that is no table.
fn plain(shape: &Shape) -> Value {
    match shape {
        Shape::Text => json!({ "type": "string" }),
        Shape::Words(words) => json!({ "type": "string", "enum": words }),
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::False => json!({ "const": false }),
        Shape::Whole(range) => whole(range),
        Shape::Numbers(numbers) => json!({ "type": "integer", "enum": numbers }),
        Shape::List(of) => json!({ "type": "array", "items": plain(of) }),
        Shape::Either(shapes) => json!({ "anyOf": shapes.iter().map(plain).collect::<Vec<_>>() }),
        Shape::Table | Shape::Tables => json!({ "type": "object" }),
    }
}

/// A bound that no number of TOML exceeds is left out.
fn whole(range: &RangeInclusive<i128>) -> Value {
    let mut schema = json!({ "type": "integer" });
    for (name, bound) in [("minimum", range.start()), ("maximum", range.end())] {
        if let Ok(bound) = i64::try_from(*bound) {
            schema[name] = json!(bound);
        }
    }
    schema
}

/// The part of the reference about the top-level table with this name.
fn part(table: &str) -> &'static str {
    let names = [
        format!("`[{table}]`"),
        format!("`[[{table}]]`"),
        format!("`[{table}.NAME]`"),
    ];
    let mut parts = REFERENCE.split("\n### ");
    let found = parts.find(|part| {
        let heading = part.lines().next().unwrap_or_default();
        names.iter().any(|name| heading.ends_with(&**name))
    });
    found.and_then(|part| part.split("\n## ").next()).unwrap_or_default()
}

/// The first paragraph about a table, in one line.
fn introduction(table: &str) -> String {
    let (_, text) = part(table).split_once("\n\n").unwrap_or_default();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let is_prose = !paragraph.starts_with(['|', '`', '<', '#']);
    if is_prose {
        paragraph.replace('\n', " ")
    } else {
        String::new()
    }
}

/// The row of a key in the reference.
struct Row {
    /// What it says about the default; nothing if the table has no such column.
    default: &'static str,
    about: &'static str,
}

impl Row {
    fn of(table: &str, key: &str) -> Option<Self> {
        let table = table.split('.').next().unwrap_or_default();
        let begin = format!("| `{key}` |");
        let mut header = "";
        for line in part(table).lines() {
            if line.starts_with("| key |") {
                header = line;
            }
            if line.starts_with(&begin) {
                let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
                let column = header
                    .trim_matches('|')
                    .split('|')
                    .position(|cell| cell.trim() == "default");
                return Some(Self {
                    default: column.and_then(|at| cells.get(at).copied()).unwrap_or_default(),
                    about: cells.last().copied().unwrap_or_default(),
                });
            }
        }
        None
    }

    /// The default, if there is one that is the same everywhere.
    fn default(&self) -> Option<Value> {
        let literal = self.default.strip_prefix('`')?.strip_suffix('`')?;
        let value: toml::Table = toml::from_str(&format!("x = {literal}")).ok()?;
        serde_json::to_value(value.get("x")?).ok()
    }
}

/// A text without the targets of its links, which lead nowhere outside of the reference.
fn unlinked(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(end) = rest.find("](") {
        let (before, link) = rest.split_at(end);
        // The bracket of this link may have others inside.
        let mut depth = 0;
        let begin = before.rfind(|c| {
            depth += match c {
                ']' => 1,
                '[' => -1,
                _ => 0,
            };
            depth < 0
        });
        let Some(begin) = begin else { break };
        plain.push_str(&before[..begin]);
        plain.push_str(&before[begin + 1..]);
        rest = link.split_once(')').map_or("", |(_, rest)| rest);
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_the_reference_become_plain_text() {
        assert_eq!(
            unlinked("see [`[budget]`](#a) and [b](../c.md#d): `[x]`"),
            "see `[budget]` and b: `[x]`"
        );
        assert_eq!(unlinked("no (link) [here]"), "no (link) [here]");
    }
}
