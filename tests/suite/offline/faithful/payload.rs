//! The payload of the App Router, parsed by a few lines that the tool does not share.

use serde_json::Value;

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    /// A text with its length in front.
    Text { id: String, text: String },
    /// A JSON value after a mark, such as `I` or `HL`, or without one.
    Json { id: String, mark: String, value: Value },
    /// Anything else, as it is.
    Line(String),
}

/// The rows; an error if a length is not that of its text.
pub fn rows(payload: &str) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    let mut rest = payload;
    while !rest.is_empty() {
        if let Some((row, after)) = text_row(rest)? {
            rows.push(row);
            rest = after;
            continue;
        }
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        rows.push(json_row(line).unwrap_or_else(|| Row::Line(line.to_owned())));
        rest = after;
    }
    Ok(rows)
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn text_row(payload: &str) -> Result<Option<(Row, &str)>, String> {
    let Some((id, rest)) = payload.split_once(":T").filter(|(id, _)| is_id(id)) else {
        return Ok(None);
    };
    let Some((digits, rest)) = rest.split_once(',').filter(|(digits, _)| is_id(digits)) else {
        return Ok(None);
    };
    let length = usize::from_str_radix(digits, 16).map_err(|error| format!("row {id}: {error}"))?;
    let (Some(text), Some(after)) = (rest.get(..length), rest.get(length..)) else {
        return Err(format!("row {id}: its length is {length}, which is not that of a text"));
    };
    // A text is followed by the next row, whose ID ends at a colon. The ID of a hint is empty.
    if !after.is_empty() && !after.split_once(':').is_some_and(|(id, _)| id.is_empty() || is_id(id)) {
        let next: String = after.chars().take(20).collect();
        return Err(format!("row {id}: no row follows its {length} bytes, but {next:?}"));
    }
    let row = Row::Text {
        id: id.to_owned(),
        text: text.to_owned(),
    };
    Ok(Some((row, after)))
}

fn json_row(line: &str) -> Option<Row> {
    let (id, rest) = line.split_once(':').filter(|(id, _)| id.is_empty() || is_id(id))?;
    let start = rest.find(|c: char| !c.is_ascii_uppercase()).unwrap_or(rest.len());
    let (mark, json) = rest.split_at(start);
    Some(Row::Json {
        id: id.to_owned(),
        mark: mark.to_owned(),
        value: serde_json::from_str(json).ok()?,
    })
}

/// The text that a script of the page adds to its payload.
pub fn pushed(script: &str) -> Option<String> {
    let json = script.trim().strip_prefix("self.__next_f.push(")?.strip_suffix(')')?;
    let value: Value = serde_json::from_str(json).ok()?;
    let [kind, text] = value.as_array()?.as_slice() else {
        return None;
    };
    (kind.as_u64() == Some(1)).then(|| text.as_str().map(str::to_owned))?
}

#[test]
fn text_is_as_long_as_it_says() {
    assert!(rows("1:T3,äx\n2:[]\n").is_err(), "no row follows");
    assert!(rows("1:T2,äx").is_err(), "no row follows");
    assert_eq!(rows("1:T3,äx2:[]\n").unwrap().len(), 2);
    assert!(rows("1:T2,€2:[]\n").is_err(), "the end is within a character");
}
