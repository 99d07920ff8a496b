//! A page as a browser's parser reads it: html5ever's tree as a flat list in document order. html5ever is used only
//! here, and not by the tool, which parses pages differently.

use html5ever::tendril::TendrilSink;
use html5ever::tree_builder::TreeBuilderOpts;
use html5ever::{ParseOpts, parse_document};
use markup5ever_rcdom::{Handle, NodeData, RcDom};

/// A piece of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    Doctype(String),
    Comment(String),
    Text(String),
    Open {
        name: String,
        /// Names and values, sorted by name, because their order means nothing to a browser.
        attributes: Vec<(String, String)>,
    },
    Close(String),
}

impl Item {
    /// Formats the item for a message.
    pub fn shown(&self) -> String {
        let text = match self {
            Item::Open { name, .. } => format!("<{name}>"),
            Item::Close(name) => format!("</{name}>"),
            Item::Doctype(text) | Item::Comment(text) | Item::Text(text) => format!("{text:?}"),
        };
        text.chars().take(80).collect()
    }
}

enum Step {
    Enter(Handle),
    Leave(String),
}

/// The items of a page. The content of `noscript` is parsed as a crawler does.
pub fn items(text: &str) -> Vec<Item> {
    let options = ParseOpts {
        tree_builder: TreeBuilderOpts {
            scripting_enabled: false,
            ..TreeBuilderOpts::default()
        },
        ..ParseOpts::default()
    };
    let dom = parse_document(RcDom::default(), options).one(text);
    let mut items = Vec::new();
    let mut steps = vec![Step::Enter(dom.document.clone())];
    while let Some(step) = steps.pop() {
        let node = match step {
            Step::Leave(name) => {
                items.push(Item::Close(name));
                continue;
            }
            Step::Enter(node) => node,
        };
        match &node.data {
            NodeData::Doctype { name, .. } => items.push(Item::Doctype(name.to_string())),
            NodeData::Text { contents } => items.push(Item::Text(contents.borrow().to_string())),
            NodeData::Comment { contents } => items.push(Item::Comment(contents.to_string())),
            NodeData::Element {
                name,
                attrs,
                template_contents,
                ..
            } => {
                let mut attributes: Vec<(String, String)> = attrs
                    .borrow()
                    .iter()
                    .map(|attribute| (attribute.name.local.to_string(), attribute.value.to_string()))
                    .collect();
                attributes.sort();
                let name = name.local.to_string();
                items.push(Item::Open {
                    name: name.clone(),
                    attributes,
                });
                steps.push(Step::Leave(name));
                steps.extend(template_contents.borrow().iter().cloned().map(Step::Enter));
            }
            NodeData::Document | NodeData::ProcessingInstruction { .. } => {}
        }
        steps.extend(node.children.borrow().iter().rev().cloned().map(Step::Enter));
    }
    items
}
