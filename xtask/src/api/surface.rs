//! The public items of one crate, read from its source.
//!
//! Meant for thin crates: functions, aliases, statics, re-exports. A name that comes from another crate is
//! recorded as the path it comes from; a name from a private module of the same crate as the item itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};
use syn::{ImplItem, Item, UseTree};

use super::signature::{
    derived, function, is_hidden, is_public, is_test, item_name, kept_attributes, last_word, public_name, signature,
    text,
};

/// Path of a public item, without the crate's name, to its signature.
pub(crate) type Surface = BTreeMap<String, String>;

/// Reads the crate in `folder`. The crate's own name and its marker type become placeholders.
pub(crate) fn read(folder: &Path, package: &str) -> Result<Surface> {
    let top = load(&folder.join("src/lib.rs"), &folder.join("src"))?;
    surface(&top, package)
}

fn surface(top: &Module, package: &str) -> Result<Surface> {
    let mut walk = Walk { top, items: Surface::new(), types: BTreeSet::new(), locals: BTreeSet::new() };
    walk.module(top, &[], "")?;
    walk.declared(top)?;
    walk.impls(top, "");
    let crate_name = package.replace('-', "_");
    let marker = flavor_marker(&top.items);
    let placeholders = |text: &str| {
        let text = replace_word(text, &crate_name, "urcu_flavor");
        match &marker {
            Some(marker) => replace_word(&text, marker, "Marker"),
            None => text,
        }
    };
    let items = walk.items.iter();
    Ok(items.map(|(path, signature)| (placeholders(path), placeholders(signature))).collect())
}

/// The type named by `pub type Flavor = …`.
fn flavor_marker(items: &[Item]) -> Option<String> {
    items.iter().find_map(|item| match item {
        Item::Type(alias) if alias.ident == "Flavor" => last_word(&alias.ty),
        _ => None,
    })
}

struct Module {
    items: Vec<Item>,
    children: BTreeMap<String, Module>,
    /// The conditions that it stands under.
    guard: String,
}

/// Reads a file and the modules that it declares; `folder` is where those stand.
fn load(file: &Path, folder: &Path) -> Result<Module> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let parsed = syn::parse_file(&text).with_context(|| format!("cannot parse {}", file.display()))?;
    module(parsed.items, folder)
}

fn module(items: Vec<Item>, folder: &Path) -> Result<Module> {
    let mut children = BTreeMap::new();
    for item in &items {
        let Item::Mod(declared) = item else { continue };
        if is_test(&declared.attrs) {
            continue;
        }
        let name = declared.ident.to_string();
        let inner = folder.join(&name);
        let mut child = match &declared.content {
            Some((_, items)) => module(items.clone(), &inner)?,
            None => {
                let files = [folder.join(format!("{name}.rs")), inner.join("mod.rs")];
                let Some(file) = files.iter().find(|file| file.exists()) else {
                    bail!("no file for `mod {name}` in {}", folder.display());
                };
                load(file, &inner)?
            }
        };
        child.guard = kept_attributes(&declared.attrs);
        children.insert(name, child);
    }
    Ok(Module { items, children, guard: String::new() })
}

struct Walk<'a> {
    top: &'a Module,
    items: Surface,
    /// Public types of the crate: their impl blocks belong to the API.
    types: BTreeSet<String>,
    /// All types of the crate: implementations for those that are not public concern nobody.
    locals: BTreeSet<String>,
}

impl<'a> Walk<'a> {
    /// Adds the public items of the module at `path`, shown as standing in `prefix`.
    fn module(&mut self, module: &'a Module, path: &[String], prefix: &str) -> Result<()> {
        for item in &module.items {
            if let Item::Use(import) = item {
                if is_public(&import.vis) && !is_hidden(&import.attrs) {
                    let guard = kept_attributes(&import.attrs);
                    for (source, name) in flatten(&import.tree) {
                        self.reexport(&source, &name, path, prefix, &guard)?;
                    }
                }
            } else if let Some(name) = public_name(item) {
                self.item(item, module, path, prefix, &name)?;
            }
        }
        Ok(())
    }

    fn item(&mut self, item: &'a Item, home: &'a Module, path: &[String], prefix: &str, name: &str) -> Result<()> {
        if let (Item::Mod(declared), Some(child)) = (item, home.children.get(&item_name(item).unwrap_or_default())) {
            let mut inner = path.to_vec();
            inner.push(declared.ident.to_string());
            self.add(prefix, name, format!("{}mod", kept_attributes(&declared.attrs)));
            return self.module(child, &inner, &join(prefix, name));
        }
        if matches!(item, Item::Struct(_) | Item::Enum(_) | Item::Union(_) | Item::Trait(_) | Item::Type(_)) {
            self.types.extend(item_name(item));
        }
        for implemented in derived(item) {
            let implementation = format!("impl {implemented} for {name}");
            self.add("", &implementation, implementation.clone());
        }
        if let Some(signature) = signature(item) {
            self.add(prefix, name, signature);
        }
        Ok(())
    }

    /// `pub use source as name` in the module at `path`.
    fn reexport(&mut self, source: &[String], name: &str, path: &[String], prefix: &str, guard: &str) -> Result<()> {
        let Some(absolute) = self.local(source, path) else {
            let source = source.join("::");
            let key = if name == "*" { &source } else { name };
            self.add(prefix, key, format!("{guard}use {source}"));
            return Ok(());
        };
        let (last, parents) = absolute.split_last().context("a re-export names something")?;
        let Some(home) = find(self.top, parents) else {
            bail!("cannot follow `pub use {}`", source.join("::"));
        };
        if last == "*" {
            return self.module(home, parents, prefix);
        }
        let named = home.items.iter().find(|item| item_name(item).as_deref() == Some(last));
        match named {
            Some(item) => self.item(item, home, parents, prefix, name),
            // The module has the name by an import of its own.
            None => {
                for item in &home.items {
                    let Item::Use(import) = item else { continue };
                    for (inner, inner_name) in flatten(&import.tree) {
                        if inner_name == *last {
                            return self.reexport(&inner, name, parents, prefix, guard);
                        }
                    }
                }
                self.add(prefix, name, format!("{guard}use {}", source.join("::")));
                Ok(())
            }
        }
    }

    /// The path from the top of this crate, none when the path leads to another crate.
    fn local(&self, source: &[String], path: &[String]) -> Option<Vec<String>> {
        let mut base = path.to_vec();
        let mut rest = source;
        match source.first()?.as_str() {
            "crate" => (base, rest) = (Vec::new(), &source[1..]),
            "self" => rest = &source[1..],
            "super" => {
                while rest.first().is_some_and(|word| word == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            first => {
                find(self.top, path)?.children.get(first)?;
            }
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    /// Notes the types that the crate declares, and refuses what cannot be compared.
    fn declared(&mut self, module: &Module) -> Result<()> {
        for item in &module.items {
            match item {
                Item::Struct(_) | Item::Enum(_) | Item::Union(_) => self.locals.extend(item_name(item)),
                // What it expands to is seen by the compiler alone; `thread_local!` declares one static.
                Item::Macro(call) if call.ident.is_none() && !is_test(&call.attrs) => {
                    let private = call.mac.path.is_ident("thread_local")
                        && !call.mac.tokens.to_string().split_whitespace().any(|word| word == "pub");
                    if !private {
                        bail!("`{}!` may declare public items; write them out", text(&call.mac.path));
                    }
                }
                Item::ForeignMod(block) => {
                    for item in &block.items {
                        if text(item).split_whitespace().any(|word| word == "pub") {
                            bail!("public items of an `extern` block cannot be compared: {}", text(item));
                        }
                    }
                }
                Item::ExternCrate(import) if is_public(&import.vis) => {
                    bail!("`pub extern crate {}` cannot be compared; re-export by `pub use`", import.ident);
                }
                _ => {}
            }
        }
        module.children.values().try_for_each(|child| self.declared(child))
    }

    /// Methods of the public types, and what is implemented for anything that users can name, wherever the blocks stand.
    fn impls(&mut self, module: &Module, guard: &str) {
        for item in &module.items {
            let Item::Impl(block) = item else { continue };
            if is_test(&block.attrs) {
                continue;
            }
            let name = last_word(&block.self_ty).unwrap_or_default();
            let subject = text(&block.self_ty);
            let (generics, _, bounds) = block.generics.split_for_impl();
            let guard = format!("{guard}{}", kept_attributes(&block.attrs));
            if let Some((implemented, _)) = &block.trait_ {
                if self.types.contains(&name) || !self.locals.contains(&name) {
                    let implemented = text(implemented);
                    let key = format!("impl {implemented} for {subject}");
                    let header =
                        format!("{guard}impl{} {implemented} for {subject} {}", text(&generics), text(&bounds));
                    self.add("", &key, header.trim_end().to_owned());
                }
                continue;
            }
            if !self.types.contains(&name) {
                continue;
            }
            for member in &block.items {
                let (vis, attrs, member_name, declared) = match member {
                    ImplItem::Fn(method) => (&method.vis, &method.attrs, &method.sig.ident, function(&method.sig)),
                    ImplItem::Const(constant) => {
                        (&constant.vis, &constant.attrs, &constant.ident, format!("const: {}", text(&constant.ty)))
                    }
                    _ => continue,
                };
                if is_public(vis) && !is_hidden(attrs) {
                    let header = format!("impl{} {subject} {}", text(&generics), text(&bounds));
                    let declared = format!("{guard}{}{} {{ {declared} }}", kept_attributes(attrs), header.trim());
                    self.add("", &format!("{name}::{member_name}"), declared);
                }
            }
        }
        for child in module.children.values() {
            self.impls(child, &format!("{guard}{}", child.guard));
        }
    }

    fn add(&mut self, prefix: &str, name: &str, signature: String) {
        let known = self.items.entry(join(prefix, name)).or_default();
        // A type and a function may share a name, cfgs may give several versions: keep all.
        if known.is_empty() {
            *known = signature;
        } else if *known != signature {
            known.push_str(" | ");
            known.push_str(&signature);
        }
    }
}

fn find<'m>(top: &'m Module, path: &[String]) -> Option<&'m Module> {
    path.iter().try_fold(top, |module, name| module.children.get(name))
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}::{name}") }
}

/// Every name that a use tree brings in, with the path that it comes from.
fn flatten(tree: &UseTree) -> Vec<(Vec<String>, String)> {
    match tree {
        UseTree::Path(path) => {
            let first = path.ident.to_string();
            let mut found = flatten(&path.tree);
            for (source, name) in &mut found {
                // `a::{self}` is `a` itself.
                if source.as_slice() == ["self"] {
                    source.clear();
                    if name == "self" {
                        name.clone_from(&first);
                    }
                }
                source.insert(0, first.clone());
            }
            found
        }
        UseTree::Name(name) => vec![(vec![name.ident.to_string()], name.ident.to_string())],
        UseTree::Rename(rename) => {
            vec![(vec![rename.ident.to_string()], rename.rename.to_string())]
        }
        UseTree::Glob(_) => vec![(vec!["*".to_owned()], "*".to_owned())],
        UseTree::Group(group) => group.items.iter().flat_map(flatten).collect(),
    }
}

fn replace_word(text: &str, word: &str, by: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let end = at + word.len();
        let whole = !rest[..at].ends_with(is_word) && !rest[end..].starts_with(is_word);
        replaced.push_str(&rest[..at]);
        replaced.push_str(if whole { by } else { word });
        rest = &rest[end..];
    }
    replaced.push_str(rest);
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surface_of(package: &str, source: &str) -> Surface {
        let items = syn::parse_file(source).expect("valid source").items;
        let top = module(items, Path::new("nowhere")).expect("inline modules only");
        surface(&top, package).expect("a surface")
    }

    const MB: &str = r#"
        //! Page.
        mod flavor {
            /// Marker.
            pub struct Mb { private: u8 }
            impl Mb { pub const fn new() -> Self { Mb { private: 0 } } fn hidden(&self) {} }
            unsafe impl urcu_core::Flavor for Mb {}
            pub struct NotReexported;
            impl NotReexported { pub fn nobody_sees(&self) {} }
            pub(crate) fn crate_only() {}
        }
        mod names { pub use urcu_core::InitError; }
        pub mod raw {
            pub use urcu_core::raw::{dereference, assign_pointer as assign};
            pub unsafe fn read_lock() { body(); }
            pub unsafe fn quiescent_state(_ticks: u64) {}
            #[doc(hidden)] pub fn internal() {}
            #[cfg(test)] mod tests { pub fn not_here() {} }
        }
        pub use flavor::Mb;
        pub use crate::names::InitError;
        pub use urcu_core::prelude::*;
        pub type Flavor = Mb;
        pub type Guard<'t> = urcu_core::Guard<'t, Mb>;
        #[must_use = "a Mb thread"]
        pub fn register() -> Result<urcu_core::Thread<Mb>, RegisterError> { todo() }
        pub static FLAVOR: FlavorVtable = FlavorVtable::of::<Mb>();
        #[cfg(feature = "poll")] pub fn poll(mut cookie: &urcu_mb::Cookie) -> bool { false }
        fn private() {}
    "#;

    #[test]
    fn public_items_are_found_with_signatures() {
        let surface = surface_of("urcu-mb", MB);
        let shown: Vec<String> = surface.iter().map(|(path, what)| format!("{path} => {what}")).collect();
        let expected = [
            "FLAVOR => static: FlavorVtable",
            "Flavor => type = Marker",
            "Guard => type<'t> = urcu_core::Guard<'t, Marker>",
            "InitError => use urcu_core::InitError",
            "Marker => struct",
            "Marker::new => impl Marker { const fn new() -> Self }",
            "impl urcu_core::Flavor for Marker => impl urcu_core::Flavor for Marker",
            "poll => #[cfg(feature = \"poll\")] fn poll(cookie: &urcu_flavor::Cookie) -> bool",
            "raw => mod",
            "raw::assign => use urcu_core::raw::assign_pointer",
            "raw::dereference => use urcu_core::raw::dereference",
            "raw::quiescent_state => unsafe fn quiescent_state(ticks: u64)",
            "raw::read_lock => unsafe fn read_lock()",
            "register => #[must_use] fn register() -> Result<urcu_core::Thread<Marker>, RegisterError>",
            "urcu_core::prelude::* => use urcu_core::prelude::*",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn another_flavor_has_the_same_surface() {
        let other = MB.replace("urcu_mb", "urcu_bp").replace("Mb", "Bp").replace("_ticks", "ticks");
        assert_eq!(surface_of("urcu-bp", &other), surface_of("urcu-mb", MB));
    }

    #[test]
    fn a_changed_signature_shows() {
        let other = MB.replace("fn read_lock()", "fn read_lock() -> bool");
        assert_ne!(surface_of("urcu-mb", &other), surface_of("urcu-mb", MB));
    }

    #[test]
    fn derived_traits_and_conditions_of_blocks_show() {
        let other = MB.replace("pub struct Mb", "#[derive(Clone)] pub struct Mb");
        assert!(surface_of("urcu-mb", &other).contains_key("impl Clone for Marker"));
        for (one, other) in [
            ("impl Mb { pub const", "#[cfg(feature = \"poll\")] impl Mb { pub const"),
            ("mod flavor {", "#[cfg(feature = \"poll\")] mod flavor {"),
            ("fn private() {}", "impl From<Mb> for u8 { fn from(_: Mb) -> u8 { 0 } }"),
        ] {
            assert_ne!(surface_of("urcu-mb", &MB.replace(one, other)), surface_of("urcu-mb", MB), "{other}");
        }
        let private = MB.replace("fn private() {}", "struct P; impl From<Mb> for P { fn from(_: Mb) -> P { P } }");
        assert_eq!(surface_of("urcu-mb", &private), surface_of("urcu-mb", MB));
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let declared = |source: &str| {
            let top = module(syn::parse_file(source).expect("valid source").items, Path::new("nowhere"));
            surface(&top.expect("inline modules only"), "urcu-mb").map(|surface| surface.len())
        };
        assert_eq!(declared("thread_local! { static A: u8 = 1; }").expect("private"), 0);
        assert_eq!(declared("macro_rules! m { () => {} }").expect("a private macro"), 0);
        assert_eq!(declared("#[cfg(test)] mod tests { generate!(pub a); }").expect("tests"), 0);
        for hidden in [
            "mod a { generate!(); }",
            "thread_local! { pub static A: u8 = 1; }",
            "extern \"C\" { pub fn f(); }",
            "pub extern crate core as c;",
        ] {
            assert!(declared(hidden).is_err(), "{hidden}");
        }
    }

    #[test]
    fn words_are_replaced_whole() {
        assert_eq!(replace_word("Mb, MbX, xMb, urcu::Mb<Mb>", "Mb", "M"), "M, MbX, xMb, urcu::M<M>");
    }
}
