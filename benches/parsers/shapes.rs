//! Hostile texts: nested very deeply, never closed, all on one line, made of many small parts, or with one part that a
//! naive parser would scan again for every other part.

/// A generator of texts of about a given size.
pub struct Shape {
    /// What the text is.
    pub name: &'static str,
    /// Makes a text of about the given number of bytes.
    pub make: fn(usize) -> String,
}

/// Repeats `text`.
fn many(text: &str, size: usize) -> String {
    text.repeat(size / text.len())
}

/// Makes equally many `open` and `close`, with `between` in the middle.
fn nested(open: &str, between: &str, close: &str, size: usize) -> String {
    let levels = size / (open.len() + close.len());
    format!("{}{between}{}", open.repeat(levels), close.repeat(levels))
}

/// Makes a text that is half `long` and half `short`. A parser that scans one half for each part of the other takes
/// quadratic time.
fn halves([before, long, between, short, after]: [&str; 5], size: usize) -> String {
    format!(
        "{before}{}{between}{}{after}",
        many(long, size / 2),
        many(short, size / 2)
    )
}

/// A page that pushes `payload` in pieces of `piece` bytes.
fn pushed(payload: &str, piece: usize) -> String {
    let mut page = "<html><script>(self.__next_f=self.__next_f||[]).push([0])</script>".to_owned();
    let mut rest = payload;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rest.floor_char_boundary(piece.min(rest.len())).max(1));
        let literal = serde_json::Value::from(now).to_string();
        let literal = literal
            .replace('&', "\\u0026")
            .replace('<', "\\u003c")
            .replace('>', "\\u003e");
        page.push_str("<script>self.__next_f.push([1,");
        page.push_str(&literal);
        page.push_str("])</script>");
        rest = later;
    }
    page
}

pub const FLIGHT: &[Shape] = &[
    Shape {
        name: "thousands of rows",
        make: |size| many("1:{\"src\":\"/a\"}\n", size),
    },
    Shape {
        name: "hints",
        make: |size| many(":HL[\"/a.png\",\"image\"]\n", size),
    },
    Shape {
        name: "empty texts, each of them markup",
        make: |size| halves(["", "1:T0,", "", "2:{\"__html\":\"$1\"}\n", ""], size),
    },
    Shape {
        name: "texts of markup",
        make: |size| {
            let texts = many("1:T10,<img src='/a.b'>", size);
            format!("{texts}2:{{\"__html\":\"$1\"}}\n")
        },
    },
    Shape {
        name: "lengths without an end",
        make: |size| many("1:T1", size),
    },
    Shape {
        name: "digits without a colon",
        make: |size| many("a", size),
    },
    Shape {
        name: "one row nests without end",
        make: |size| format!("0:{}\n", nested("[", "", "]", size)),
    },
    Shape {
        name: "URLs within URLs' objects",
        make: |size| format!("0:{}\n", nested("{\"src\":\"/a\",\"b\":", "1", "}", size)),
    },
    Shape {
        name: "an object with many keys",
        make: |size| format!("0:{{{}\"z\":1}}\n", many("\"k\":\"/a\",", size)),
    },
    Shape {
        name: "a meta element with many contents",
        make: |size| {
            format!(
                "0:[\"$\",\"meta\",null,{{{}\"property\":\"og:image\"}}]\n",
                many("\"content\":\"/a\",", size)
            )
        },
    },
    Shape {
        name: "a link element with many addresses and a long rel",
        make: |size| {
            let rel = format!("[\"$\",\"link\",null,{{\"rel\":\"{}\",", many("a ", size / 2));
            format!("0:{rel}{}\"z\":1}}]\n", many("\"href\":\"/a\",", size / 2))
        },
    },
    Shape {
        name: "many elements with one long type",
        make: |size| {
            let name = format!("[\"$\",\"a\\n{}\",null,{{\"b\":[", many("a", size / 2));
            format!("0:{name}{}1]}}]\n", many("[],{},", size / 2))
        },
    },
    Shape {
        name: "promises of offsets",
        make: |size| format!("0:{{\"a\":\"$@ff\"}}\n{}", many("1:0\n", size)),
    },
];

pub const PUSH: &[Shape] = &[
    Shape {
        name: "pieces of one byte",
        make: |size| pushed(&many("1:{\"src\":\"/a\"}\n", size / 48), 1),
    },
    Shape {
        name: "one piece",
        make: |size| pushed(&many("1:{\"src\":\"/a\"}\n", size), usize::MAX),
    },
    Shape {
        name: "one script of many calls",
        make: |size| format!("<script>{}</script>", many("self.__next_f.push([1,\"\"]);", size)),
    },
    Shape {
        name: "one script of nested states",
        make: |size| {
            format!(
                "<script>self.__next_f.push([2,{}])</script>",
                nested("[", "", "]", size)
            )
        },
    },
    Shape {
        name: "escapes",
        make: |size| {
            format!(
                "<script>self.__next_f.push([1,\"{}\"])</script>",
                many("\\u003c\\\\\\\"", size)
            )
        },
    },
    Shape {
        name: "an edit over many pieces",
        make: |size| pushed(&format!("0:{{\"src\":\"/{}\"}}\n", many("a", size / 48)), 1),
    },
];

pub const JSON: &[Shape] = &[
    Shape {
        name: "arrays nest without end",
        make: |size| many("[", size),
    },
    Shape {
        name: "objects nest, closed",
        make: |size| nested("{\"a\":", "1", "}", size),
    },
    Shape {
        name: "URLs within URLs' objects",
        make: |size| nested("{\"src\":\"/a\",\"b\":", "1", "}", size),
    },
    Shape {
        name: "many tiny values",
        make: |size| format!("[{}0]", many("0,", size)),
    },
    Shape {
        name: "many empty strings",
        make: |size| format!("[{}0]", many("\"\",", size)),
    },
    Shape {
        name: "one string of escapes",
        make: |size| format!("\"{}\"", many("\\\\", size)),
    },
    Shape {
        name: "one string of \\u escapes",
        make: |size| format!("\"{}\"", many("\\ud83d\\ude00", size)),
    },
    Shape {
        name: "a string without end",
        make: |size| format!("\"{}", many("\\n", size)),
    },
    Shape {
        name: "one number",
        make: |size| many("1", size),
    },
    Shape {
        name: "white space",
        make: |size| format!("[{}]", many(" \n", size)),
    },
    Shape {
        name: "an object with many keys",
        make: |size| format!("{{{}\"z\":1}}", many("\"k\":\"/a\",", size)),
    },
    Shape {
        name: "a long key with escapes, and levels below it",
        make: |size| halves(["{\"\\n", "a", "\":", "[{}, ", ""], size),
    },
    Shape {
        name: "markup in strings",
        make: |size| format!("[{}0]", many("{\"__html\":\"<img src='/a'>\"},", size)),
    },
];

pub const CSS: &[Shape] = &[
    Shape {
        name: "parentheses without end",
        make: |size| many("(", size),
    },
    Shape {
        name: "url( without end",
        make: |size| many("a{b:url(", size),
    },
    Shape {
        name: "url( and spaces",
        make: |size| many("url(  ", size),
    },
    Shape {
        name: "many short URLs",
        make: |size| format!("a{{b:{}}}", many("url(a) ", size)),
    },
    Shape {
        name: "many quoted URLs",
        make: |size| format!("a{{b:{}}}", many("url('a') ", size)),
    },
    Shape {
        name: "imports",
        make: |size| many("@import 'a';", size),
    },
    Shape {
        name: "imports without end",
        make: |size| many("@import ", size),
    },
    Shape {
        name: "escapes",
        make: |size| many("url(\\61\\)", size),
    },
    Shape {
        name: "backslashes",
        make: |size| format!("({}", many("\\", size)),
    },
    Shape {
        name: "comments without end",
        make: |size| format!("({}", many("/*", size)),
    },
    Shape {
        name: "quotes in turns",
        make: |size| format!("({}", many("'\"\n", size)),
    },
    Shape {
        name: "blocks in blocks, as deep as may be",
        make: |size| many(&nested("a{", "b:url(c)", "}", 180), size),
    },
    Shape {
        name: "one line of tiny rules",
        make: |size| format!("@media x{{{}}}", many("a{b:c}", size)),
    },
    Shape {
        name: "closing brackets",
        make: |size| format!("a({}", many("]}", size)),
    },
];

pub const HTML: &[Shape] = &[
    Shape {
        name: "tags nest without end",
        make: |size| many("<p>", size),
    },
    Shape {
        name: "tags that never close",
        make: |size| many("<p ", size),
    },
    Shape {
        name: "values that never close",
        make: |size| many("<p a=\"", size),
    },
    Shape {
        name: "pictures",
        make: |size| many("<img src=/a>", size),
    },
    Shape {
        name: "one tag of many attributes",
        make: |size| format!("<p {}>", many("a b ", size)),
    },
    Shape {
        name: "one link of many addresses",
        make: |size| format!("<link {}rel=icon>", many("href=a ", size)),
    },
    Shape {
        name: "one meta of many contents, after many others",
        make: |size| halves(["<meta ", "a ", "", "content=a ", "name=x>"], size),
    },
    Shape {
        name: "one link of a long rel and many addresses",
        make: |size| halves(["<link rel='", "a ", "' ", "href=a ", ">"], size),
    },
    Shape {
        name: "comments that never close",
        make: |size| many("<!--", size),
    },
    Shape {
        name: "scripts that never close",
        make: |size| many("<script>", size),
    },
    Shape {
        name: "scripts in comments in scripts",
        make: |size| many("<script><!--<script>", size),
    },
    Shape {
        name: "many scripts",
        make: |size| many("<script>a</script>", size),
    },
    Shape {
        name: "ampersands",
        make: |size| many("&", size),
    },
    Shape {
        name: "references that are none",
        make: |size| many("&CounterClockwiseContourIntegra", size),
    },
    Shape {
        name: "references in values",
        make: |size| many("<a href='&amp;&#x1F600;&notit;'>", size),
    },
    Shape {
        name: "one number without end",
        make: |size| format!("&#{}", many("9", size)),
    },
    Shape {
        name: "one long line of text",
        make: |size| many("lorem ipsum ", size),
    },
    Shape {
        name: "style attributes",
        make: |size| many("<p style='a:url(b)'>", size),
    },
    Shape {
        name: "a style sheet without end",
        make: |size| format!("<style>{}", many("a{b:url(", size)),
    },
    Shape {
        name: "one srcset",
        make: |size| format!("<img srcset='{}'>", many("/a 1x,", size)),
    },
    Shape {
        name: "doctypes",
        make: |size| many("<!doctype", size),
    },
    Shape {
        name: "processing instructions",
        make: |size| many("<?", size),
    },
    Shape {
        name: "ends of tags",
        make: |size| many("</", size),
    },
    Shape {
        name: "carriage returns and zeros",
        make: |size| many("<a href='\r\n\0'>\r\0", size),
    },
];

pub const SRCSET: &[Shape] = &[
    Shape {
        name: "many candidates",
        make: |size| many("a 1x,", size),
    },
    Shape {
        name: "commas",
        make: |size| many(",", size),
    },
    Shape {
        name: "one URL of commas",
        make: |size| format!("a{}", many(",", size)),
    },
    Shape {
        name: "commas after each URL",
        make: |size| many("a,, ", size),
    },
    Shape {
        name: "parentheses without end",
        make: |size| format!("a {}", many("(", size)),
    },
    Shape {
        name: "white space",
        make: |size| many(" \t", size),
    },
];

pub const URL: &[Shape] = &[
    Shape {
        name: "many plain paths",
        make: |size| many("/docs/a/b.png\n", size),
    },
    Shape {
        name: "many relative ones",
        make: |size| many("../a.png?b#c\n", size),
    },
    Shape {
        name: "one of folders",
        make: |size| many("a/", size),
    },
    Shape {
        name: "one that climbs",
        make: |size| many("../", size),
    },
    Shape {
        name: "one that climbs and falls",
        make: |size| many("/a/..", size),
    },
    Shape {
        name: "one of escapes",
        make: |size| format!("/docs/{}", many("%C3%A4", size)),
    },
    Shape {
        name: "one of broken escapes",
        make: |size| format!("/docs/{}", many("%", size)),
    },
    Shape {
        name: "one long host",
        make: |size| format!("https://{}/", many("a.", size)),
    },
    Shape {
        name: "one long host that is no ASCII",
        make: |size| format!("https://{}/", many("ä.", size)),
    },
    Shape {
        name: "one long user",
        make: |size| format!("https://{}", many("@", size)),
    },
    Shape {
        name: "one long fragment",
        make: |size| format!("#{}", many("ä%", size)),
    },
];

pub const SECRETS: &[Shape] = &[
    Shape {
        name: "beginnings of JSON Web Tokens, glued",
        make: |size| many("eyJ", size),
    },
    Shape {
        name: "beginnings of JSON Web Tokens, apart",
        make: |size| many("eyJ-", size),
    },
    Shape {
        name: "JSON Web Tokens in a chain",
        make: |size| many("eyJhbGciOiJIUzI1NiJ9-.", size),
    },
    Shape {
        name: "tokens of a chat in one word",
        make: |size| many("xoxb-12345678-11111111111-", size),
    },
    Shape {
        name: "headers of keys",
        make: |size| many(concat!("-----BEGIN PRIVATE ", "KEY-----\n"), size),
    },
    Shape {
        name: "tokens, each another one",
        make: |size| {
            let mut state = 7_u64;
            let mut token = || -> String {
                let letters = std::iter::repeat_with(|| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    char::from(
                        b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-"[(state >> 58) as usize],
                    )
                });
                letters.filter(char::is_ascii_alphanumeric).take(36).collect()
            };
            (0..size / 41)
                .flat_map(|_| ["ghp_".to_owned(), token(), "\n".to_owned()])
                .collect()
        },
    },
];

pub const PAGE: &[Shape] = &[
    Shape {
        name: "a payload in small pieces",
        make: |size| pushed(&many("1:{\"src\":\"/a\"}\n", size / 4), 20),
    },
    Shape {
        name: "data of the Pages Router",
        make: |size| {
            let items = many("{\"src\":\"/a\"},", size);
            format!("<script id=__NEXT_DATA__>{{\"buildId\":\"x\",\"props\":[{items}0]}}</script>")
        },
    },
    Shape {
        name: "many scripts of data",
        make: |size| many("<script id=__NEXT_DATA__>{\"src\":\"/a\"}</script>", size),
    },
    Shape {
        name: "markup and payload in turns",
        make: |size| {
            many(
                "<img src=/a><script>self.__next_f.push([1,\"1:{}\\n\"])</script><p style='a:url(b)'>",
                size,
            )
        },
    },
];
