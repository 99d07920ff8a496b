//! Makes texts from texts: leaves parts out, doubles and moves them, takes parts from other texts, and inserts words of
//! the languages.

/// Words that the parsers look for, and the text around them.
const WORDS: &[&str] = &[
    "<",
    ">",
    "/",
    "=",
    "\"",
    "'",
    "&",
    ";",
    ":",
    ",",
    " ",
    "\n",
    "\r\n",
    "\0",
    "\\",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "$",
    "#",
    "?",
    "%",
    "%2e",
    "..",
    "//",
    "@",
    "ß",
    "€",
    "😀",
    "\u{2028}",
    "\u{feff}",
    "\t",
    "\u{c}",
    "\u{b}",
    "\u{1}",
    "\u{1f}",
    "0",
    "1",
    "a",
    "T",
    "-->",
    "<!--",
    "<img src=",
    "<img srcset=\"",
    " srcset='/a 1x, /b 2x'",
    " src=\"/a\"",
    " href=/a",
    "<a href='",
    "<base href=",
    "<link rel=stylesheet href=",
    "<link rel=preload as=image ",
    "<meta property=og:image content=",
    "<style>",
    "</style>",
    "<script>",
    "</script>",
    "<script id=__NEXT_DATA__>",
    "<p style=\"",
    "<title>",
    "<textarea>",
    "<svg>",
    "<![CDATA[",
    "]]>",
    "</p>",
    "</a href=x>",
    "<!doctype html>",
    "<?",
    "&amp;",
    "&quot;",
    "&#x27;",
    "&#13;",
    "&#0;",
    "&lt",
    "&notit;",
    "self.__next_f.push([1,\"",
    "(self.__next_f=self.__next_f||[]).push([0])",
    "\"])",
    "])",
    ");",
    "[2,null]",
    "\\u003c",
    "\\u0026",
    "\\ud83d\\ude00",
    "\\ud800",
    "\\n",
    "\\\"",
    "\\\\",
    "0:",
    "1:",
    "a:T3,",
    "2:I[1,[],\"\"]\n",
    ":HL[\"/a\",\"image\"]\n",
    ":HL[\"/a.css\",\"style\"]\n",
    ":HC[\"/a\",{\"imageSrcSet\":\"/b 1x\"}]\n",
    "{\"b\":\"id\"}",
    "{\"buildId\":\"id\"}",
    "{\"__html\":\"$a\"}",
    "{\"__html\":\"<img src='/a'>\"}",
    "[\"$\",\"img\",null,{\"src\":\"/a\"}]",
    "[\"$\",\"style\",null,{\"children\":\"a{b:url(/a)}\"}]",
    "[\"$\",\"link\",null,{\"rel\":\"icon\",\"href\":\"/a\"}]",
    "\"srcSet\":\"/a 1x,/b 2x\"",
    "\"style\":{\"background\":\"url(/a)\"}",
    "null",
    "true",
    "-1.5e3",
    "1e999",
    "\"a\":",
    "url(",
    "url('",
    "url(\"/a\")",
    "url(/a)",
    "src(\"/a\")",
    "image-set(\"/a\" 1x)",
    "@import ",
    "@import url(/a);",
    "@namespace url(x);",
    "/*",
    "*/",
    "a{b:",
    "\\61 ",
    "type(\"",
    "format(",
    "https://",
    "http:",
    "data:,",
    "mailto:a",
    "//docs.example.com/",
    "#a",
    "?b",
    "/docs",
    "/docs/a.png",
    "localhost",
    "[::1]",
    "\\",
    "javascript:",
];

/// Complete JSON values, which fit after any `[`.
const VALUES: &[&str] = &[
    "null",
    "-1.5e3",
    "\"/a.png\"",
    "\"$a\"",
    "[\"$\",\"img\",null,{\"src\":\"/a\",\"srcSet\":\"/a 1x,/b 2x\"}]",
    "[\"$\",\"link\",null,{\"rel\":\"icon\",\"href\":\"/a\"}]",
    "[\"$\",\"style\",null,{\"children\":\"a{b:url(/a)}\"}]",
    "[\"$\",\"$L1\",null,{}]",
    "[]",
    "{}",
    "\"\\u003cimg src='/a'\\u003e\\n\"",
];

/// Complete members, which fit after any `{`.
const MEMBERS: &[&str] = &[
    "\"src\":\"/a.png\"",
    "\"href\":\"https://a.example/\"",
    "\"__html\":\"<img src='/a'><p style=\\\"a:url(b)\\\">\"",
    "\"__html\":\"$a\"",
    "\"children\":\"$b\"",
    "\"srcSet\":\"/a 1x, /b 2x\"",
    "\"style\":{\"background\":\"url('/a')\"}",
    "\"cover\":\"/a\"",
    "\"b\":\"id\"",
    "\"buildId\":\"id\"",
    "\"l\":0",
    "\"\\u0073rc\":\"\\/a\"",
];

/// Makes texts; the same seed always gives the same texts.
pub struct Mutator {
    state: u64,
}

/// Longer texts test no more and take longer.
const LONGEST: usize = 3000;

impl Mutator {
    /// A mutator that starts from a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }

    /// A number below `limit`, or 0 (Marsaglia's xorshift).
    fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let number = usize::try_from(self.state >> 11).unwrap_or_default();
        number.checked_rem(limit).unwrap_or_default()
    }

    fn one_of<'a>(&mut self, texts: &'a [String]) -> &'a str {
        let at = self.below(texts.len());
        texts.get(at).map_or("", String::as_str)
    }

    /// A part of a text: most are short.
    fn part(&mut self, text: &[char]) -> std::ops::Range<usize> {
        let from = self.below(text.len() + 1);
        let longest = match self.below(4) {
            0 => text.len(),
            1 => 64,
            _ => 8,
        };
        let length = self.below(longest.min(text.len() - from) + 1);
        from..from + length
    }

    /// Inserts a piece that keeps the text valid in its language: a value, a member, or a row with its correct length.
    fn put_in(&mut self, text: &mut Vec<char>, texts: &[String]) {
        let from = self.below(text.len() + 1);
        let behind = |c: &char| matches!(c, '[' | '{' | '\n');
        let at = text[from..].iter().position(behind).map_or(0, |at| from + at + 1);
        let new = match at.checked_sub(1).map(|before| text[before]) {
            Some('[') => format!("{},", VALUES[self.below(VALUES.len())]),
            Some('{') => format!("{},", MEMBERS[self.below(MEMBERS.len())]),
            _ => {
                let other: Vec<char> = self.one_of(texts).chars().collect();
                let body: String = other[self.part(&other)].iter().collect();
                let id = 10 + self.below(3);
                format!("{id:x}:T{:x},<img src='/a'>{body}", body.len() + "<img src='/a'>".len())
            }
        };
        text.splice(at..at, new.chars());
    }

    /// The next text, made from the given ones.
    pub fn next(&mut self, texts: &[String]) -> String {
        let mut text: Vec<char> = self.one_of(texts).chars().collect();
        for _ in 0..=self.below(6) {
            let part = self.part(&text);
            match self.below(8) {
                0 => drop(text.drain(part)),
                1 => {
                    let copy = text[part.clone()].to_vec();
                    text.splice(part.start..part.start, copy);
                }
                2 => {
                    let moved: Vec<char> = text.drain(part).collect();
                    let to = self.below(text.len() + 1);
                    text.splice(to..to, moved);
                }
                3 => {
                    let other: Vec<char> = self.one_of(texts).chars().collect();
                    let taken = self.part(&other);
                    text.splice(part, other[taken].iter().copied());
                }
                4 | 5 => self.put_in(&mut text, texts),
                more => {
                    let word = WORDS[self.below(WORDS.len())];
                    let end = if more == 6 { part.start } else { part.end };
                    text.splice(part.start..end, word.chars());
                }
            }
            text.truncate(LONGEST);
        }
        text.into_iter().collect()
    }
}
