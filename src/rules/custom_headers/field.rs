//! Which headers a rule may set, and to what. Pure.
//!
//! Names and values end up in nginx's configuration and in the answers of two servers. So a name has letters, digits and
//! `-`, `_`, `.` alone, and a value printable ASCII: nothing that could end a header or a directive is left to escape but
//! quotes, backslashes and `$`. Headers by which the tool keeps a promise are refused by name.

/// The longest name in bytes.
const LONGEST_NAME: usize = 100;

/// The longest value in bytes as nginx's configuration has it, where a word has at most 4096.
const LONGEST_VALUE: usize = 4000;

/// The bytes of a variable that stands for a `$`, at most.
const DOLLAR: usize = 50;

/// Headers that no rule may change, in lower case, and why, as the end of a sentence.
const REFUSED: [(&[&str], &str); 8] = [
    (
        &[
            "age",
            "cache-control",
            "cdn-cache-control",
            "cloudflare-cdn-cache-control",
            "expires",
            "netlify-cdn-cache-control",
            "pragma",
            "surrogate-control",
        ],
        "but the vhost decides for each file how long it may be kept: for good if its name changes with its content",
    ),
    (
        &["content-type"],
        "but the type of a file is set in [types] of the site manifest",
    ),
    (
        &[
            "accept-ranges",
            "content-encoding",
            "content-length",
            "content-md5",
            "content-range",
            "etag",
            "last-modified",
            "vary",
        ],
        "which follows from the file that is sent",
    ),
    (&["location"], "but redirects are written in `_redirects`"),
    (
        &[
            "connection",
            "date",
            "keep-alive",
            "proxy-connection",
            "server",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
        ],
        "which belongs to the connection and not to a page",
    ),
    (
        &["x-nextjs-deployment-id"],
        "by which Next.js's client recognizes its release, and which follows the live release",
    ),
    (
        &["basic-auth"],
        "which protects nothing here and would show the password to everyone: `basic-auth` of a target asks for one",
    ),
    (
        &["www-authenticate", "proxy-authenticate"],
        "which protects nothing without a server that checks passwords",
    ),
];

/// Checks the name of a header that a rule sets or removes.
pub(super) fn check_name(name: &str, verb: &str) -> Result<(), String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(is_plain) {
        return Err(format!(
            "{verb} `{}`, but the name of a header has only letters, digits, `-`, `_` and `.`, {LONGEST_NAME} at most",
            shown(name)
        ));
    }
    let lower = name.to_ascii_lowercase();
    let refused = REFUSED.iter().find(|(names, _)| names.contains(&&*lower));
    match refused {
        Some((_, why)) => Err(format!("{verb} {name}, {why}")),
        None => Ok(()),
    }
}

/// Checks the value of a header. `names` are those of the rule's address.
pub(super) fn check_value(name: &str, value: &str, names: &[String]) -> Result<(), String> {
    if value.is_empty() {
        return Err(format!("gives {name} no value; `! {name}` removes a header"));
    }
    if value.trim() != value {
        return Err(format!("gives {name} a value with a space at its start or end"));
    }
    if let Some(odd) = value.chars().find(|c| !matches!(c, ' '..='~')) {
        return Err(format!(
            "gives {name} a value with {odd:?}, but the value of a header has only printable ASCII"
        ));
    }
    if let Some(used) = names.iter().find(|used| has_placeholder(value, used)) {
        return Err(format!(
            "puts `:{used}`, a part of the visitor's address, into a header; a value here is the same for every address"
        ));
    }
    let printed: usize = value
        .bytes()
        .map(|byte| match byte {
            b'"' | b'\\' => 2,
            b'$' => DOLLAR,
            _ => 1,
        })
        .sum();
    if printed > LONGEST_VALUE {
        return Err(format!(
            "gives {name} a value of more than {LONGEST_VALUE} bytes, which nginx can't read"
        ));
    }
    Ok(())
}

fn has_placeholder(value: &str, name: &str) -> bool {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    value
        .match_indices(&format!(":{name}"))
        .any(|(at, found)| !value[at + found.len()..].starts_with(is_of_name))
}

/// The start of a text, for a message.
fn shown(text: &str) -> String {
    let start: String = text.chars().take(40).collect();
    start.escape_debug().to_string()
}
