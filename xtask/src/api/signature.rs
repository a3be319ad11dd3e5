//! One item as users see it, as text.

use quote::ToTokens;
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Field, Fields, FnArg, Generics, Item, Pat, Path, Signature, StaticMutability, Token, TraitItem, Type,
    TypeParamBound, Visibility,
};

pub(super) fn item_name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Mod(item) => &item.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

/// The item's name when users see it.
pub(super) fn public_name(item: &Item) -> Option<String> {
    let (public, attrs) = match item {
        Item::Const(item) => (is_public(&item.vis), &item.attrs),
        Item::Enum(item) => (is_public(&item.vis), &item.attrs),
        Item::Fn(item) => (is_public(&item.vis), &item.attrs),
        Item::Macro(item) => (item.attrs.iter().any(|attr| attr.path().is_ident("macro_export")), &item.attrs),
        Item::Mod(item) => (is_public(&item.vis), &item.attrs),
        Item::Static(item) => (is_public(&item.vis), &item.attrs),
        Item::Struct(item) => (is_public(&item.vis), &item.attrs),
        Item::Trait(item) => (is_public(&item.vis), &item.attrs),
        Item::Type(item) => (is_public(&item.vis), &item.attrs),
        Item::Union(item) => (is_public(&item.vis), &item.attrs),
        _ => return None,
    };
    (public && !is_hidden(attrs) && !is_test(attrs)).then(|| item_name(item)).flatten()
}

/// What a user can rely on of an item: no bodies, no private fields, no documentation.
pub(super) fn signature(item: &Item) -> Option<String> {
    Some(match item {
        Item::Const(item) => format!("{}const: {}", kept_attributes(&item.attrs), text(&item.ty)),
        Item::Static(item) => {
            let mutable = if matches!(item.mutability, StaticMutability::Mut(_)) { " mut" } else { "" };
            format!("{}static{mutable}: {}", kept_attributes(&item.attrs), text(&item.ty))
        }
        Item::Fn(item) => format!("{}{}", kept_attributes(&item.attrs), function(&item.sig)),
        Item::Macro(item) => format!("{}macro {}", kept_attributes(&item.attrs), text(&item.mac.tokens)),
        Item::Type(item) => {
            format!("{}type{} = {}", kept_attributes(&item.attrs), generics(&item.generics), text(&item.ty))
        }
        Item::Struct(item) => {
            let public = fields(&item.fields, |field| is_public(&field.vis));
            format!("{}struct{}{public}", kept_attributes(&item.attrs), generics(&item.generics))
        }
        Item::Enum(item) => {
            let variants: Vec<String> = item
                .variants
                .iter()
                .map(|variant| {
                    let attributes = kept_attributes(&variant.attrs);
                    let number = variant.discriminant.as_ref().map(|(_, number)| format!(" = {}", text(number)));
                    let number = number.unwrap_or_default();
                    format!("{attributes}{}{}{number}", variant.ident, fields(&variant.fields, |_| true))
                })
                .collect();
            format!("{}enum{} {{ {} }}", kept_attributes(&item.attrs), generics(&item.generics), variants.join(", "))
        }
        Item::Trait(item) => {
            let members: Vec<String> = item
                .items
                .iter()
                .map(|member| match member {
                    TraitItem::Fn(method) => {
                        let provided = if method.default.is_some() { " provided" } else { "" };
                        format!("{}{}{provided}", kept_attributes(&method.attrs), function(&method.sig))
                    }
                    TraitItem::Const(constant) => {
                        let provided = if constant.default.is_some() { " provided" } else { "" };
                        format!("const {}: {}{provided}", constant.ident, text(&constant.ty))
                    }
                    TraitItem::Type(alias) => {
                        format!("type {}{}{}", alias.ident, generics(&alias.generics), bounds(&alias.bounds))
                    }
                    other => text(other),
                })
                .collect();
            let unsafety = if item.unsafety.is_some() { "unsafe " } else { "" };
            format!(
                "{}{unsafety}trait{}{} {{ {} }}",
                kept_attributes(&item.attrs),
                generics(&item.generics),
                bounds(&item.supertraits),
                members.join("; ")
            )
        }
        Item::Union(item) => {
            let public = fields(&Fields::Named(item.fields.clone()), |field| is_public(&field.vis));
            let (attributes, generics) = (kept_attributes(&item.attrs), generics(&item.generics));
            format!("{attributes}union{generics}{public}")
        }
        _ => return None,
    })
}

/// Parameters with their bounds, and the `where` clause, which stands apart in the source.
fn generics(generics: &Generics) -> String {
    let bounds = generics.where_clause.as_ref().map(|clause| format!(" {}", text(clause)));
    format!("{}{}", text(generics), bounds.unwrap_or_default())
}

fn bounds(bounds: &Punctuated<TypeParamBound, Token![+]>) -> String {
    if bounds.is_empty() { String::new() } else { format!(": {}", text(bounds)) }
}

/// The traits that a type derives.
pub(super) fn derived(item: &Item) -> Vec<String> {
    let attrs = match item {
        Item::Enum(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        _ => return Vec::new(),
    };
    let derives = attrs.iter().filter(|attr| attr.path().is_ident("derive"));
    let traits = derives.filter_map(|attr| attr.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated).ok());
    traits.flatten().map(|path| text(&path)).collect()
}

/// The chosen fields with their types.
fn fields(fields: &Fields, chosen: fn(&Field) -> bool) -> String {
    let chosen = fields.iter().filter(|field| chosen(field)).map(|field| {
        let name = field.ident.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        format!("{name}{}", text(&field.ty))
    });
    let chosen: Vec<String> = chosen.collect();
    match fields {
        _ if chosen.is_empty() => String::new(),
        Fields::Named(_) => format!(" {{ {} }}", chosen.join(", ")),
        Fields::Unnamed(_) => format!("({})", chosen.join(", ")),
        Fields::Unit => String::new(),
    }
}

/// A function's signature. The leading underscore of a parameter that one crate has no use for does not count.
pub(super) fn function(signature: &Signature) -> String {
    let mut signature = signature.clone();
    for input in &mut signature.inputs {
        let FnArg::Typed(input) = input else { continue };
        input.attrs.clear();
        if let Pat::Ident(name) = &mut *input.pat {
            name.mutability = None;
            let plain = name.ident.to_string().trim_start_matches('_').to_owned();
            if !plain.is_empty() {
                name.ident = syn::Ident::new(&plain, name.ident.span());
            }
        }
    }
    text(&signature)
}

/// The attributes that are part of a contract.
pub(super) fn kept_attributes(attrs: &[Attribute]) -> String {
    attrs
        .iter()
        .filter(|attr| {
            ["cfg", "must_use", "deprecated", "non_exhaustive", "repr"].iter().any(|kept| attr.path().is_ident(kept))
        })
        // The reason may name the flavor.
        .map(
            |attr| {
                if attr.path().is_ident("must_use") { "#[must_use] ".to_owned() } else { format!("{} ", text(attr)) }
            },
        )
        .collect()
}

pub(super) fn is_public(vis: &Visibility) -> bool {
    matches!(vis, Visibility::Public(_))
}

pub(super) fn is_hidden(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| {
        attr.path().is_ident("doc") && text(&attr.meta).contains("hidden") && !text(&attr.meta).contains('=')
    })
}

pub(super) fn is_test(attrs: &[Attribute]) -> bool {
    // `cfg(not(test))` is what users see.
    attrs.iter().any(|attr| attr.path().is_ident("cfg") && matches!(text(&attr.meta).as_str(), "cfg(test)"))
}

pub(super) fn last_word(ty: &Type) -> Option<String> {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
        _ => None,
    }
}

/// Tokens as text, with the spaces that people expect.
pub(super) fn text(tokens: &impl ToTokens) -> String {
    const SPACING: [(&str, &str); 18] = [
        (" :: ", "::"),
        ("< ", "<"),
        (" <", "<"),
        (" >", ">"),
        (" ,", ","),
        (" ;", ";"),
        ("& ", "&"),
        ("( ", "("),
        (" )", ")"),
        (" (", "("),
        ("[ ", "["),
        (" ]", "]"),
        ("# [", "#["),
        (" :", ":"),
        ("* const", "*const"),
        ("* mut", "*mut"),
        ("->(", "-> ("),
        ("=(", "= ("),
    ];
    let text = tokens.to_token_stream().to_string();
    SPACING.iter().fold(text, |text, (printed, expected)| text.replace(printed, expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature_of(source: &str) -> String {
        signature(&syn::parse_str(source).expect("a valid item")).expect("an item with a signature")
    }

    #[test]
    fn contracts_are_kept_and_the_rest_is_not() {
        assert_eq!(
            signature_of("#[repr(C)] /// doc\n #[derive(Debug)] pub struct S<T> { pub a: &'static T, b: u8 }"),
            "#[repr(C)] struct<T> { a: &'static T }"
        );
        assert_eq!(
            signature_of("#[non_exhaustive] pub enum E { A, B(u8), C { x: [u8; 2] } }"),
            "#[non_exhaustive] enum { A, B(u8), C { x: [u8; 2] } }"
        );
        assert_eq!(
            signature_of("pub unsafe trait T { const N: usize; type A; fn f(&self) -> u8 { 1 } }"),
            "unsafe trait { const N: usize; type A; fn f(&self) -> u8 provided }"
        );
        assert_eq!(
            signature_of(
                "#[inline] pub unsafe extern \"C\" fn f<T: Send>(mut a: *const T, _b: fn(u8) -> u8) -> (T, u8) { g() }"
            ),
            "unsafe extern \"C\" fn f<T: Send>(a: *const T, b: fn(u8) -> u8) -> (T, u8)"
        );
    }

    #[test]
    fn bounds_count_wherever_they_stand() {
        let different = [
            ("pub struct S<T> { a: T }", "pub struct S<T> where T: Send { a: T }"),
            ("pub enum E<T> { A(T) }", "pub enum E<T> where T: Send { A(T) }"),
            ("pub enum E { A, B }", "pub enum E { A, B = 7 }"),
            ("pub type A<T> = Box<T>;", "pub type A<T> where T: Send = Box<T>;"),
            ("pub trait T {}", "pub trait T: Send {}"),
            ("pub trait T<U> {}", "pub trait T<U> where U: Send {}"),
            ("pub trait T { type A; }", "pub trait T { type A: Send; }"),
            ("pub trait T { fn f(&self); }", "pub trait T { fn f(&self) {} }"),
            ("pub trait T { fn f(&self); }", "pub trait T { #[must_use] fn f(&self); }"),
            ("pub static S: u8 = 1;", "pub static mut S: u8 = 1;"),
            ("pub union U { pub a: u8 }", "pub union U { pub a: i8 }"),
            ("pub fn f<T>() where T: Send {}", "pub fn f<T>() {}"),
        ];
        for (one, other) in different {
            assert_ne!(signature_of(one), signature_of(other), "{other}");
        }
    }

    #[test]
    fn what_only_tests_see_is_left_out() {
        let named = |source: &str| public_name(&syn::parse_str(source).expect("a valid item"));
        assert_eq!(named("#[cfg(test)] pub fn f() {}"), None);
        assert_eq!(named("#[cfg(not(test))] pub fn f() {}").as_deref(), Some("f"));
    }
}
