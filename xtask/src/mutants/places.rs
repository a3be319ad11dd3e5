//! Every place in a source file that names a memory order, and every rule that `weaken!` names.
//!
//! An order may also be an argument of a helper, which makes the access: then the place is the call. The switch finds it by
//! `#[track_caller]`, which such a helper needs (under `--cfg urcu_mutants` only, if it is to stay as it is elsewhere).
//! For the same reason a function that makes accesses of its own must not have it there: they would be its caller's.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context, Result, bail};
use proc_macro2::{LineColumn, TokenTree};
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Attribute, Expr, ExprCall, ExprClosure, ExprMethodCall, FnArg, ImplItemFn, ItemFn, ItemMod, Macro, Signature,
    TraitItemFn, Type,
};

/// One way to weaken a program, for the whole of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mutant {
    /// Names it among those of its file, in words that survive changes elsewhere in the file.
    pub(crate) name: String,
    /// What `URCU_MUTANT` has to say.
    pub(crate) switch: String,
}

/// All of them in `text`, in the order of the source. `file` is its name as the compiler knows it.
pub(crate) fn find(file: &str, text: &str) -> Result<Vec<Mutant>> {
    let parsed = syn::parse_file(text).with_context(|| format!("cannot parse {file}"))?;
    let mut finder = Finder {
        file,
        within: String::new(),
        found: Vec::new(),
        names: HashMap::new(),
        hidden: Vec::new(),
        is_elsewhere: false,
        elsewhere: BTreeSet::new(),
    };
    finder.visit_file(&parsed);
    if !finder.hidden.is_empty() {
        let names = finder.hidden.join(", ");
        bail!("{file}: takes an order, and hides who names it: {names}: add `#[cfg_attr(urcu_mutants, track_caller)]`");
    }
    if !finder.elsewhere.is_empty() {
        let names = Vec::from_iter(finder.elsewhere).join(", ");
        bail!(
            "{file}: accesses count as the caller's: {names}: make it `#[cfg_attr(not(urcu_mutants), track_caller)]`"
        );
    }
    Ok(finder.found)
}

struct Finder<'a> {
    file: &'a str,
    /// The function that is being looked at.
    within: String,
    found: Vec<Mutant>,
    /// How often a name has been given.
    names: HashMap<String, usize>,
    /// Functions that take an order and do not say who calls them.
    hidden: Vec<String>,
    /// What is being looked at says who calls it, and so do the accesses in it: the switch would not find them.
    is_elsewhere: bool,
    /// Functions for which that is so, and that have accesses.
    elsewhere: BTreeSet<String>,
}

impl Finder<'_> {
    fn add(&mut self, what: &str, at: LineColumn, failure: bool, order: &str, to: &str) {
        if self.is_elsewhere {
            self.elsewhere.insert(self.within.clone());
        }
        let mark = if failure { " on failure" } else { "" };
        let mut name = format!("{}: {what}({order} -> {to}{mark})", self.within);
        let times = self.names.entry(name.clone()).or_insert(0);
        *times += 1;
        if *times > 1 {
            name = format!("{name} #{times}");
        }
        let mark = if failure { "!" } else { "" };
        let to = if to == "none" { "Relaxed" } else { to };
        let switch = format!("{}:{}:{}{mark}={to}", self.file, at.line, at.column + 1);
        self.found.push(Mutant { name, switch });
    }

    fn order(&mut self, what: &str, at: LineColumn, operation: &str, orders: &[&Expr]) {
        let Some(order) = orders.first().and_then(|order| strongest(order)) else { return };
        let is_plain = matches!(operation, "load" | "store");
        match order {
            "AcqRel" | "SeqCst" if !is_plain => {
                self.add(what, at, false, order, "Acquire");
                self.add(what, at, false, order, "Release");
            }
            "Relaxed" => {}
            _ => self.add(what, at, false, order, "Relaxed"),
        }
        if let Some(order @ ("Acquire" | "SeqCst")) = orders.get(1).and_then(|order| strongest(order)) {
            self.add(what, at, true, order, "Relaxed");
        }
    }

    /// What a helper makes of an order is not known here: the order goes, whole.
    fn helper<'e>(&mut self, what: &str, at: LineColumn, arguments: impl Iterator<Item = &'e Expr>) {
        // Not what a closure or a block among the arguments does itself.
        let is_order = |argument: &&Expr| matches!(argument, Expr::Path(_) | Expr::If(_) | Expr::Match(_));
        for order in arguments.filter(is_order).filter_map(strongest).filter(|order| *order != "Relaxed") {
            self.add(what, at, false, order, "Relaxed");
        }
    }

    fn signature(&mut self, attributes: &[Attribute], signature: &Signature) {
        let is_order = |argument: &FnArg| {
            let FnArg::Typed(argument) = argument else { return false };
            let Type::Path(path) = &*argument.ty else { return false };
            path.path.segments.last().is_some_and(|segment| segment.ident == "Ordering")
        };
        let tells = |attribute: &Attribute| attribute.meta.to_token_stream().to_string().contains("track_caller");
        // `cmp` is full of functions that take the other kind of order; none of them is part of a library crate.
        if signature.inputs.iter().any(is_order) && !attributes.iter().any(tells) {
            self.hidden.push(signature.ident.to_string());
        }
    }

    fn inside(&mut self, name: String, attributes: &[Attribute], visit: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.within, name);
        let was_elsewhere = std::mem::replace(&mut self.is_elsewhere, attributes.iter().any(is_callers));
        visit(self);
        self.is_elsewhere = was_elsewhere;
        self.within = outer;
    }
}

/// The strongest order that an expression names: the order itself, or what one of two cases takes.
fn strongest(order: &Expr) -> Option<&'static str> {
    let text = order.to_token_stream().to_string();
    let named = |name: &&&str| text.contains(&format!("Ordering :: {name}"));
    ["SeqCst", "AcqRel", "Acquire", "Release", "Relaxed"].iter().find(named).copied()
}

/// Tokens as people write them, and not too many of them.
fn short(tokens: impl ToTokens) -> String {
    const MOST: usize = 48;
    let text = tokens.to_token_stream().to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    let mut text = text.replace(" . ", ".").replace(" (", "(").replace("( ", "(").replace(" )", ")");
    text = text.replace(" :: ", "::").replace("& ", "&").replace("* ", "*").replace(" [", "[").replace("[ ", "[");
    text = text.replace(" ]", "]").replace(" ,", ",");
    match text.char_indices().rev().nth(MOST) {
        Some((at, _)) => format!("..{}", &text[at..]),
        None => text,
    }
}

/// Whether a function with this attribute stands for its caller, also where orders are weakened.
fn is_callers(attribute: &Attribute) -> bool {
    let text = attribute.meta.to_token_stream().to_string();
    text.contains("track_caller") && !text.starts_with("cfg_attr (not (urcu_mutants)")
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let text = attribute.meta.to_token_stream().to_string();
        text == "test" || text.starts_with("cfg (test") || text.starts_with("cfg (all (test")
    })
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if !is_test(&item.attrs) {
            self.signature(&item.attrs, &item.sig);
            self.inside(item.sig.ident.to_string(), &item.attrs, |finder| visit::visit_item_fn(finder, item));
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        if !is_test(&item.attrs) {
            self.signature(&item.attrs, &item.sig);
            self.inside(item.sig.ident.to_string(), &item.attrs, |finder| visit::visit_impl_item_fn(finder, item));
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        self.signature(&item.attrs, &item.sig);
        self.inside(item.sig.ident.to_string(), &item.attrs, |finder| visit::visit_trait_item_fn(finder, item));
    }

    fn visit_expr_closure(&mut self, closure: &'ast ExprClosure) {
        // Who calls a closure does not count.
        let was_elsewhere = std::mem::replace(&mut self.is_elsewhere, false);
        visit::visit_expr_closure(self, closure);
        self.is_elsewhere = was_elsewhere;
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        visit::visit_expr_method_call(self, call);
        let operation = call.method.to_string();
        let orders: Vec<&Expr> = match operation.as_str() {
            "compare_exchange" | "compare_exchange_weak" => call.args.iter().skip(2).collect(),
            "fetch_update" => call.args.iter().take(2).collect(),
            "load" | "store" | "swap" => call.args.iter().last().into_iter().collect(),
            _ if operation.starts_with("fetch_") => call.args.iter().last().into_iter().collect(),
            _ => {
                let what = format!("{}.{operation}", short(&call.receiver));
                return self.helper(&what, call.method.span().start(), call.args.iter());
            }
        };
        let what = format!("{}.{operation}", short(&call.receiver));
        self.order(&what, call.method.span().start(), &operation, &orders);
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        visit::visit_expr_call(self, call);
        let name = call.func.to_token_stream().to_string();
        let name = name.rsplit(' ').next().unwrap_or_default();
        match (name, call.args.first().and_then(strongest)) {
            ("fence" | "compiler_fence", Some(order)) => self.add(name, call.span().start(), false, order, "none"),
            // A variant with an order in it, `Some(..)`, makes no access.
            _ if name.starts_with(char::is_uppercase) => {}
            _ => {
                // Helpers are told apart by what they access.
                let arguments: Vec<String> = call.args.iter().filter(|it| strongest(it).is_none()).map(short).collect();
                let what = format!("{name}({})", arguments.join(", "));
                self.helper(&what, call.span().start(), call.args.iter());
            }
        }
    }

    /// `weaken!("name", ...)`, and what its arms and those of `assert!` and the like hold.
    fn visit_macro(&mut self, called: &'ast Macro) {
        let name = called.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
        if name != "weaken" {
            return;
        }
        let mut tokens = called.tokens.clone().into_iter();
        if let Some(TokenTree::Literal(literal)) = tokens.next() {
            let rule = literal.to_string().trim_matches('"').to_owned();
            let name = format!("rule {rule}");
            // A rule may need two places.
            if self.found.iter().all(|mutant| mutant.name != name) {
                self.found.push(Mutant { name, switch: rule });
            }
        }
        let strong: proc_macro2::TokenStream = tokens
            .skip(1)
            .take_while(|token| !matches!(token, TokenTree::Punct(punct) if punct.as_char() == '='))
            .collect();
        if let Ok(strong) = syn::parse2::<Expr>(strong) {
            // What the parser makes of it may go as soon as it has been looked at.
            let mut inner = Finder {
                file: self.file,
                within: self.within.clone(),
                found: Vec::new(),
                names: std::mem::take(&mut self.names),
                hidden: Vec::new(),
                is_elsewhere: self.is_elsewhere,
                elsewhere: BTreeSet::new(),
            };
            inner.visit_expr(&strong);
            self.names = inner.names;
            self.found.append(&mut inner.found);
            self.elsewhere.append(&mut inner.elsewhere);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        find("a/b.rs", text).expect("Rust").into_iter().map(|mutant| mutant.name).collect()
    }

    #[test]
    fn places_are_named_and_numbered() {
        let text = "\
fn f(a: &A) {
    a.word.load(Ordering::Acquire);
    a.word.load(Ordering::Acquire);
    a.word.load(Ordering::Relaxed);
    fence(Ordering::SeqCst);
}
";
        let found = find("a/b.rs", text).expect("Rust");
        let shown: Vec<_> = found.iter().map(|mutant| (&*mutant.name, &*mutant.switch)).collect();
        assert_eq!(
            shown,
            [
                ("f: a.word.load(Acquire -> Relaxed)", "a/b.rs:2:12=Relaxed"),
                ("f: a.word.load(Acquire -> Relaxed) #2", "a/b.rs:3:12=Relaxed"),
                ("f: fence(SeqCst -> none)", "a/b.rs:5:5=Relaxed"),
            ]
        );
    }

    #[test]
    fn each_half_and_the_failure_are_mutants_of_their_own() {
        let text = "impl A { fn f(&self) { self.a.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire); } }";
        assert_eq!(
            names(text),
            [
                "f: self.a.compare_exchange(AcqRel -> Acquire)",
                "f: self.a.compare_exchange(AcqRel -> Release)",
                "f: self.a.compare_exchange(Acquire -> Relaxed on failure)",
            ]
        );
        assert_eq!(find("x", text).expect("Rust")[2].switch, "x:1:31!=Relaxed");
    }

    #[test]
    fn rules_are_found_and_tests_are_not() {
        let text = "\
fn f() { weaken!(\"wait\", a.store(1, Ordering::Release) => ()); weaken!(\"wait\", () => b()); }
#[cfg(test)]
mod tests { fn g() { a.load(Ordering::Acquire); } }
impl A { #[cfg(all(test, not(urcu_loom)))] fn h(&self) { self.a.load(Ordering::Acquire); } }
";
        assert_eq!(names(text), ["rule wait", "f: a.store(Release -> Relaxed)"]);
    }

    #[test]
    fn orders_that_a_helper_is_given_are_places() {
        let text = "\
fn next(&self) { unsafe { follow(space, &node.next, Ordering::Acquire) }; self.at(1).follow(Ordering::Release) }
fn before(&self) { follow(&node.prev, Ordering::Relaxed); Some(Ordering::Acquire); a.map(|a| a.load(Ordering::Acquire)) }
";
        let found = find("x", text).expect("Rust");
        let shown: Vec<_> = found.iter().map(|mutant| (&*mutant.name, &*mutant.switch)).collect();
        assert_eq!(
            shown,
            [
                ("next: follow(space, &node.next)(Acquire -> Relaxed)", "x:1:27=Relaxed"),
                ("next: self.at(1).follow(Release -> Relaxed)", "x:1:86=Relaxed"),
                ("before: a.load(Acquire -> Relaxed)", "x:2:96=Relaxed"),
            ]
        );
    }

    #[test]
    fn helpers_say_who_calls_them() {
        let helper = "fn follow(link: &AtomicPtr<T>, order: Ordering) -> *mut T { link.load(order) }";
        assert!(find("x", helper).is_err_and(|error| error.to_string().contains("follow")));
        assert!(find("x", &format!("#[cfg_attr(urcu_mutants, track_caller)] {helper}")).is_ok());
        assert!(find("x", &format!("#[cfg(test)] mod tests {{ {helper} }}")).is_ok());
    }

    #[test]
    fn accesses_are_found_where_they_are() {
        let access = "fn f(a: &A) { a.load(Ordering::Acquire) }";
        assert!(find("x", &format!("#[track_caller] {access}")).is_err_and(|error| error.to_string().contains('f')));
        assert!(find("x", &format!("#[cfg_attr(not(urcu_mutants), track_caller)] {access}")).is_ok());
        assert!(find("x", "#[track_caller] fn f(a: &A) { (|| a.load(Ordering::Acquire))() }").is_ok());
        assert!(find("x", "#[track_caller] fn f(a: &A) { a.load(Ordering::Relaxed) }").is_ok());
    }

    #[test]
    fn one_of_two_orders_counts_as_the_stronger() {
        let text = "fn f() { a.load(if X { Ordering::Acquire } else { Ordering::Relaxed }); }";
        assert_eq!(names(text), ["f: a.load(Acquire -> Relaxed)"]);
    }
}
