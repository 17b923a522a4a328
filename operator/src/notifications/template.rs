//! Templates of bodies. ★ Pure.
//!
//! Who may write a PaymentCluster need not be trusted with the operator, which serves everybody: a template can choose and join
//! the fields, and has no loop, no variable and no filter by which a small text becomes a large one.

use crds::payment_cluster::ContentType;
use minijinja::value::Serde;
use minijinja::{Environment, Error, UndefinedBehavior, filters, tests};
use serde_json::Value;

/// What a template may do between `{%` and `%}`.
const STATEMENTS: [&str; 4] = ["if", "elif", "else", "endif"];
/// Instructions of a template; one of 4,096 letters has fewer.
const FUEL: u64 = 20_000;
/// Longest body, in bytes.
const BYTES_MAX: usize = 64 * 1024;

/// The text that a template makes of the fields.
pub(super) fn render(template: &str, content_type: ContentType, fields: &Value) -> Result<String, String> {
    statements(template)?;
    let text = environment().render_str(template, Serde(fields)).map_err(|error| words(&error))?;
    if text.len() > BYTES_MAX {
        return Err(format!("it makes a text of {} bytes, and {BYTES_MAX} are allowed", text.len()));
    }
    if content_type == ContentType::Json {
        serde_json::from_str::<serde::de::IgnoredAny>(&text)
            .map_err(|error| format!("it does not make JSON ({error}); write texts as {{{{ message | tojson }}}}"))?;
    }
    Ok(text)
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.add_filter("tojson", filters::tojson);
    environment.add_filter("default", filters::default);
    environment.add_filter("upper", filters::upper);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("trim", filters::trim);
    environment.add_test("defined", tests::is_defined);
    environment.add_test("none", tests::is_none);
    environment
}

fn statements(template: &str) -> Result<(), String> {
    for part in template.split("{%").skip(1) {
        let part = part.trim_start_matches(['-', '+']).trim_start();
        let word: String = part.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
        if !STATEMENTS.contains(&word.as_str()) {
            return Err(format!(
                "{{% {word} %}} is not allowed: a template has no statement but if, elif, else and endif"
            ));
        }
    }
    Ok(())
}

/// What is wrong, without the name that the library gives to a text.
fn words(error: &Error) -> String {
    let what = error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
    error.line().map_or_else(|| what.clone(), |line| format!("{what} (line {line})"))
}
