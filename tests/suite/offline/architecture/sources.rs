//! The names and imports of each source file of the crate, read with `syn`. Tests are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// One file below `src/`.
#[derive(Default)]
pub struct Source {
    /// Lines with code.
    pub lines: usize,
    /// Every imported or named path. Paths of this crate begin at the crate's root.
    pub paths: Vec<Vec<String>>,
    /// Names of called macros.
    pub macros: Vec<String>,
    /// Names of called methods.
    pub methods: Vec<String>,
    /// String literals.
    pub strings: Vec<String>,
    /// Whether it makes an operation that renames something to `current` or to a channel's symlink.
    pub moves_current: bool,
    /// Other files below `src/` that define the names used here, by path relative to `src/`.
    pub imports: BTreeSet<String>,
    /// Paths as they are written, before they are resolved.
    written: Vec<Vec<String>>,
    /// The path of each name that a `use` brings into scope.
    names: BTreeMap<String, Vec<String>>,
    /// The path of each name that a `pub use` exports.
    offered: BTreeMap<String, Vec<String>>,
}

/// Every source file, by path relative to `src/`.
pub fn sources() -> &'static BTreeMap<String, Source> {
    static SOURCES: LazyLock<BTreeMap<String, Source>> = LazyLock::new(read);
    &SOURCES
}

fn read() -> BTreeMap<String, Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && path.file_stem().is_some_and(|stem| stem != "tests")
            {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                files.insert(name, parse(&fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(files.len() > 200, "the sources were not found");
    resolve(&mut files);
    files
}

fn parse(text: &str) -> Source {
    let mut source = Source::default();
    let file = syn::parse_file(text).unwrap();
    source.visit_file(&file);
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    source.lines = code.lines().filter(is_code).count();
    source
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Ident>()
                .is_ok_and(|argument| argument == "test")
    })
}

impl<'ast> Visit<'ast> for Source {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if !is_test(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if is_test(&item.attrs) {
            return;
        }
        let is_offered = !matches!(item.vis, syn::Visibility::Inherited);
        let mut leaves = Vec::new();
        expand(&item.tree, &mut Vec::new(), &mut leaves);
        for (name, path) in leaves {
            if is_offered {
                self.offered.insert(name.clone(), path.clone());
            }
            self.names.insert(name, path.clone());
            self.written.push(path);
        }
    }

    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {
        // The visibility of an item is not an import.
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.written
            .push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.methods.push(call.method.to_string());
        self.moves_current |= call.method == "rename" && call.args.last().is_some_and(is_current);
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(function) = &*call.func
            && function.path.segments.last().is_some_and(|last| last.ident == "rename")
        {
            self.moves_current |= call.args.last().is_some_and(is_current);
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        let is_to = matches!(&field.member, syn::Member::Named(name) if name == "to");
        self.moves_current |= is_to && is_current(&field.expr);
        visit::visit_field_value(self, field);
    }

    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        self.strings.push(text.value());
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if let Some(name) = call.path.segments.last() {
            self.macros.push(name.ident.to_string());
        }
        // The tokens of a macro call may be in any language, so the paths are taken from the tokens.
        paths_in(call.tokens.clone(), &mut self.written);
        visit::visit_macro(self, call);
    }
}

/// Whether an expression begins with the name of `current`, or is that of a slot, such as a channel's symlink.
fn is_current(expression: &syn::Expr) -> bool {
    if let syn::Expr::Call(call) = expression
        && let syn::Expr::Path(function) = &*call.func
    {
        let named = function.path.segments.last();
        return named.is_some_and(|last| last.ident == "slot" || last.ident == "channel");
    }
    let syn::Expr::Path(value) = receiver(expression) else {
        return false;
    };
    value.path.segments.last().is_some_and(|last| last.ident == "CURRENT")
}

/// The expression at the start of a chain of method calls.
fn receiver(expression: &syn::Expr) -> &syn::Expr {
    match expression {
        syn::Expr::MethodCall(call) => receiver(&call.receiver),
        other => other,
    }
}

/// The names that a `use` brings into scope, each with its path.
fn expand(tree: &syn::UseTree, before: &mut Vec<String>, leaves: &mut Vec<(String, Vec<String>)>) {
    match tree {
        syn::UseTree::Path(path) => {
            before.push(path.ident.to_string());
            expand(&path.tree, before, leaves);
            before.pop();
        }
        syn::UseTree::Name(name) => {
            let mut path = before.clone();
            if name.ident != "self" {
                path.push(name.ident.to_string());
            }
            leaves.push((path.last().cloned().unwrap_or_default(), path));
        }
        syn::UseTree::Rename(renamed) => {
            let mut path = before.clone();
            path.push(renamed.ident.to_string());
            leaves.push((renamed.rename.to_string(), path));
        }
        syn::UseTree::Glob(_) => leaves.push((String::new(), before.clone())),
        syn::UseTree::Group(group) => {
            for tree in &group.items {
                expand(tree, before, leaves);
            }
        }
    }
}

fn paths_in(tokens: TokenStream, paths: &mut Vec<Vec<String>>) {
    let mut path: Vec<String> = Vec::new();
    let mut colons = 0;
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                if colons != 2 && !path.is_empty() {
                    paths.push(std::mem::take(&mut path));
                }
                path.push(ident.to_string());
                colons = 0;
                continue;
            }
            TokenTree::Punct(sign) if sign.as_char() == ':' => {
                colons += 1;
                continue;
            }
            TokenTree::Group(group) => paths_in(group.stream(), paths),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
        if !path.is_empty() {
            paths.push(std::mem::take(&mut path));
        }
        colons = 0;
    }
    if !path.is_empty() {
        paths.push(path);
    }
}

/// The module path of a file, from the crate's root.
fn module(file: &str) -> Vec<String> {
    let stem = file.trim_end_matches(".rs");
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    match stem {
        "lib" | "main" => Vec::new(),
        stem => stem.split('/').map(str::to_owned).collect(),
    }
}

fn resolve(files: &mut BTreeMap<String, Source>) {
    let modules: BTreeMap<Vec<String>, String> = files
        .keys()
        .filter(|file| *file != "main.rs" && *file != "lib.rs")
        .map(|file| (module(file), file.clone()))
        .collect();
    let mut resolved = Vec::new();
    for (file, source) in files.iter() {
        let here = module(file);
        let mut paths = Vec::new();
        let mut imports = BTreeSet::new();
        for written in &source.written {
            let absolute = absolute(written, &here, source, &modules);
            let is_own = absolute.first().is_some_and(|first| first == "crate");
            if is_own {
                let target = definition(&absolute[1..], files, &modules, 0);
                let is_index = source.offered.values().any(|offered| offered == written);
                if let Some(target) = target
                    && target != *file
                    && !(is_index && module(&target).starts_with(&here))
                {
                    imports.insert(target);
                }
            }
            paths.push(absolute);
        }
        resolved.push((file.clone(), paths, imports));
    }
    for (file, paths, imports) in resolved {
        let source = files.get_mut(&file).expect("a file that was read");
        source.paths = paths;
        source.imports = imports;
    }
}

/// Resolves a path as written in a module to one from the root of this crate (`crate::…`) or of another crate.
fn absolute(
    written: &[String],
    here: &[String],
    source: &Source,
    modules: &BTreeMap<Vec<String>, String>,
) -> Vec<String> {
    let from = |module: &[String], rest: &[String]| {
        let mut path = vec!["crate".to_owned()];
        path.extend_from_slice(module);
        path.extend_from_slice(rest);
        path
    };
    let Some(first) = written.first() else {
        return Vec::new();
    };
    match first.as_str() {
        "crate" | "syntax_publish" => from(&[], &written[1..]),
        "self" => from(here, &written[1..]),
        "super" => {
            let ups = written.iter().take_while(|segment| *segment == "super").count();
            from(&here[..here.len().saturating_sub(ups)], &written[ups..])
        }
        name => {
            if let Some(path) = source.names.get(name)
                && path != written
                && path.first() != Some(first)
            {
                let mut whole = path.clone();
                whole.extend_from_slice(&written[1..]);
                return absolute(&whole, here, source, modules);
            }
            let mut child = here.to_vec();
            child.push(first.clone());
            if modules.contains_key(&child) {
                return from(here, written);
            }
            written.to_vec()
        }
    }
}

/// The file that defines the target of a path from the crate's root. Follows `pub use`.
fn definition(
    path: &[String],
    files: &BTreeMap<String, Source>,
    modules: &BTreeMap<Vec<String>, String>,
    depth: usize,
) -> Option<String> {
    let length = (1..=path.len())
        .rev()
        .find(|length| modules.contains_key(&path[..*length]))?;
    let file = &modules[&path[..length]];
    let Some(item) = path.get(length) else {
        return Some(file.clone());
    };
    match files[file].offered.get(item) {
        Some(offered) if depth < 8 => {
            let mut further = absolute(offered, &path[..length], &files[file], modules);
            further.extend_from_slice(&path[length + 1..]);
            match further.first().map(String::as_str) {
                Some("crate") => definition(&further[1..], files, modules, depth + 1),
                _ => None,
            }
        }
        _ => Some(file.clone()),
    }
}
