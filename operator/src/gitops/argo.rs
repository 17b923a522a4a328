//! Runs scripts as Argo CD does: Lua 5.1 with its table library and the time, the resource as `obj`.

use mlua::serde::{de, ser};
use mlua::{Function, Lua, LuaOptions, LuaSerdeExt, StdLib, Table};
use serde_json::{Map, Value, json};

/// What `health.lua` makes of a resource.
pub(super) fn health(script: &str, resource: &Value) -> Value {
    let found = run(script, resource, &json!({})).unwrap();
    assert!(found["message"].is_string(), "a health without a word: {found}");
    found
}

/// What `discovery.lua` offers, as the list in which Argo CD shows it.
pub(super) fn discover(script: &str, resource: &Value) -> Vec<Value> {
    let Value::Object(found) = run(script, resource, &json!({})).unwrap() else { panic!("no table") };
    let named = found.into_iter().map(|(name, mut action)| {
        action["name"] = name.into();
        action
    });
    named.collect()
}

/// What an action makes of a resource, or the words with which it refuses.
pub(super) fn act(script: &str, resource: &Value, parameters: &Value) -> Result<Value, String> {
    run(script, resource, parameters).map(|made| clean(made, resource))
}

fn run(script: &str, resource: &Value, parameters: &Value) -> Result<Value, String> {
    let lua = Lua::new_with(StdLib::TABLE | StdLib::PACKAGE | StdLib::OS, LuaOptions::default()).unwrap();
    keep_time_only(&lua).unwrap();
    let options =
        ser::Options::new().set_array_metatable(false).serialize_none_to_null(false).serialize_unit_to_null(false);
    for (name, value) in [("obj", resource), ("actionParams", parameters)] {
        lua.globals().set(name, lua.to_value_with(value, options).unwrap()).unwrap();
    }
    let made: mlua::Value = lua.load(script).eval().map_err(|error| words(&error))?;
    // In Lua an empty object is an empty list; Argo CD mends that afterwards.
    let options = de::Options::new().encode_empty_tables_as_array(true);
    Ok(lua.from_value_with(made, options).unwrap())
}

fn keep_time_only(lua: &Lua) -> mlua::Result<()> {
    let all: Table = lua.globals().get("os")?;
    let safe = lua.create_table()?;
    for name in ["time", "date"] {
        safe.set(name, all.get::<Function>(name)?)?;
    }
    lua.register_module("os", &safe)?;
    lua.globals().set("os", safe)
}

/// The words alone, as Argo CD shows them.
fn words(error: &mlua::Error) -> String {
    let text = error.to_string();
    let text = text.strip_prefix("runtime error: ").unwrap_or(&text);
    text.split("\nstack traceback:").next().unwrap_or_default().to_owned()
}

/// Makes empty lists into the empty objects that they were before.
fn clean(made: Value, before: &Value) -> Value {
    match (made, before) {
        (Value::Array(list), Value::Object(_)) if list.is_empty() => json!({}),
        (Value::Object(made), Value::Object(before)) => {
            let cleaned: Map<_, _> = made
                .into_iter()
                .map(|(key, value)| {
                    let value = clean(value, before.get(&key).unwrap_or(&Value::Null));
                    (key, value)
                })
                .collect();
            Value::Object(cleaned)
        }
        (Value::Array(made), Value::Array(before)) => {
            let with = made.into_iter().enumerate();
            with.map(|(index, value)| clean(value, before.get(index).unwrap_or(&Value::Null))).collect()
        }
        (made, _) => made,
    }
}
