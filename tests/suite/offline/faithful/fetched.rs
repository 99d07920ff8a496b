//! The files that a browser fetches for a page by itself, according to the page and according to its payload.
//!
//! A file that has a version in one place and none in another is loaded twice, and a service worker that has one URL
//! does not have the other. The bytes are the same at both, so no other check of the oracle notices.

use std::collections::BTreeSet;

use serde_json::Value;

use super::dom::{Item, items};
use super::oracle::{candidates, css_pieces, is_element};
use super::payload::Row;

/// Attributes that name a file to fetch, each with its element. In the payload they have React's names.
const FETCHED: [(&str, &str); 12] = [
    ("img", "src"),
    ("input", "src"),
    ("source", "src"),
    ("video", "src"),
    ("video", "poster"),
    ("audio", "src"),
    ("track", "src"),
    ("image", "href"),
    ("image", "xlink:href"),
    ("use", "href"),
    ("use", "xlink:href"),
    ("body", "background"),
];
const LISTS: [(&str, &str); 3] = [("img", "srcset"), ("source", "srcset"), ("link", "imagesrcset")];

fn of_attribute(tag: &str, name: &str, value: &str, is_preload: bool) -> Vec<String> {
    let name = match name {
        "xlinkHref" => "xlink:href".to_owned(),
        name => name.to_ascii_lowercase(),
    };
    let place = (tag, &*name);
    if name == "style" {
        css_pieces(value).1
    } else if LISTS.contains(&place) {
        candidates(value).into_iter().map(|(url, _)| url).collect()
    } else if FETCHED.contains(&place) || place == ("link", "href") && is_preload {
        vec![value.to_owned()]
    } else {
        Vec::new()
    }
}

/// Whether a `<link>` with these `rel` and `as` makes the browser fetch a picture.
fn is_preload(rel: Option<&str>, fetched_as: Option<&str>) -> bool {
    match rel {
        Some("icon" | "shortcut icon" | "apple-touch-icon") => true,
        Some("preload") => fetched_as == Some("image"),
        _ => false,
    }
}

/// The files that the elements of a page make the browser fetch.
pub fn of_items(items: &[Item]) -> Vec<String> {
    let mut urls = Vec::new();
    let mut within = "";
    for item in items {
        match item {
            Item::Open { name, attributes } => {
                within = name;
                let get = |key: &str| {
                    attributes
                        .iter()
                        .find(|(name, _)| name == key)
                        .map(|(_, value)| &**value)
                };
                let is_preload = is_preload(get("rel"), get("as"));
                for (key, value) in attributes {
                    urls.extend(of_attribute(name, key, value, is_preload));
                }
            }
            Item::Text(text) if within == "style" => urls.extend(css_pieces(text).1),
            _ => {}
        }
    }
    urls
}

/// The files that the elements of a payload make the browser fetch, and the properties of client components that look
/// like a path.
pub fn of_rows(rows: &[Row]) -> Vec<String> {
    let (mut urls, mut markup) = (Vec::new(), BTreeSet::new());
    for row in rows {
        match row {
            Row::Json { mark, value, .. } if mark == "HL" => {
                if let [Value::String(url), Value::String(kind), ..] = value.as_array().map_or(&[][..], Vec::as_slice)
                    && kind == "image"
                {
                    urls.push(url.clone());
                }
            }
            Row::Json { mark, value, .. } if mark.is_empty() => of_value(None, value, &mut urls, &mut markup),
            _ => {}
        }
    }
    for row in rows {
        if let Row::Text { id, text } = row
            && markup.contains(id)
        {
            urls.extend(of_items(&items(text)));
        }
    }
    urls
}

/// Collects the URLs of a value. `tag` is the element whose property it is. The IDs of texts that are markup go into
/// `markup`.
fn of_value(tag: Option<&str>, value: &Value, urls: &mut Vec<String>, markup: &mut BTreeSet<String>) {
    match value {
        Value::Array(list) => {
            if let [Value::String(mark), Value::String(tag), _, props, ..] = list.as_slice()
                && mark == "$"
            {
                of_value(Some(tag), props, urls, markup);
                return;
            }
            for value in list {
                of_value(None, value, urls, markup);
            }
        }
        Value::Object(props) => {
            let get = |key: &str| props.get(key).and_then(Value::as_str);
            let is_preload = is_preload(get("rel"), get("as"));
            for (key, value) in props {
                match value {
                    Value::String(text) if key == "__html" => match text.strip_prefix('$') {
                        Some(id) => drop(markup.insert(id.to_owned())),
                        None => urls.extend(of_items(&items(text))),
                    },
                    Value::String(text) => match tag.filter(|tag| is_element(tag)) {
                        Some(tag) => urls.extend(of_attribute(tag, key, text, is_preload)),
                        None if text.contains("url(") => urls.extend(css_pieces(text).1),
                        None if text.starts_with('/') && key != "href" && key != "children" => urls.push(text.clone()),
                        None => {}
                    },
                    value => of_value(None, value, urls, markup),
                }
            }
        }
        _ => {}
    }
}
