//! The document as a page for people: one file without scripts, so that it can be read where there is no internet.

use std::fmt::Write;

use serde_json::Value;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}
nav a{display:inline-block;margin-right:1rem}code,pre{font:14px/1.45 ui-monospace,monospace;background:#f3f4f6;border-radius:4px}
code{padding:1px 4px}pre{padding:.7rem;overflow-x:auto}table{border-collapse:collapse;width:100%}
td,th{text-align:left;vertical-align:top;padding:.25rem .7rem .25rem 0;border-bottom:1px solid #e5e7eb}
details{margin:.5rem 0;border:1px solid #d5d9df;border-radius:6px;padding:.5rem .8rem}summary{cursor:pointer}
.method{display:inline-block;min-width:4rem;font-weight:600}h2{margin-top:2.5rem}";

/// The page.
pub(super) fn render(document: &Value) -> String {
    let mut page = String::with_capacity(64 * 1024);
    let title = text(&document["info"]["title"]);
    // Writing into a String does not fail, here and below.
    let _ = write!(
        page,
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'><title>{title} API</title><style>{STYLE}</style>
<h1>{title} API {}</h1>{}<p>For programs: <a href='/v1/openapi.json'>/v1/openapi.json</a>.</p>",
        text(&document["info"]["version"]),
        markdown(document["info"]["description"].as_str().unwrap_or_default()),
    );
    for tag in tags(document) {
        let _ = write!(page, "<h2>{}</h2>", escape(&tag));
        for (path, method, operation) in operations(document).filter(|(.., operation)| tag_of(operation) == tag) {
            show_operation(&mut page, path, method, operation, document);
        }
    }
    page.push_str("<h2>Shapes</h2>");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let name = escape(name);
        let _ = write!(page, "<details id='{name}'><summary><code>{name}</code></summary>{}</details>", json(schema));
    }
    page.push_str("</html>");
    page
}

fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten();
        methods
            .filter(|(_, operation)| operation.get("responses").is_some())
            .map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

fn tag_of(operation: &Value) -> &str {
    operation["tags"][0].as_str().unwrap_or("Other")
}

fn tags(document: &Value) -> Vec<String> {
    let mut tags: Vec<String> = operations(document).map(|(.., operation)| tag_of(operation).to_owned()).collect();
    tags.sort();
    tags.dedup();
    tags
}

fn show_operation(page: &mut String, path: &str, method: &str, operation: &Value, document: &Value) {
    let _ = write!(
        page,
        "<details><summary><span class=method>{}</span> <code>{}</code> {}</summary>{}",
        method.to_uppercase(),
        escape(path),
        text(&operation["summary"]),
        markdown(operation["description"].as_str().unwrap_or_default()),
    );
    if let Some(parameters) = operation["parameters"].as_array() {
        page.push_str("<table><tr><th>Parameter<th>In<th>Shape<th>Meaning");
        for parameter in parameters {
            let parameter = resolved(parameter, document);
            let needed = if parameter["required"] == true { " (needed)" } else { "" };
            let _ = write!(
                page,
                "<tr><td><code>{}</code>{needed}<td>{}<td>{}<td>{}",
                text(&parameter["name"]),
                text(&parameter["in"]),
                shape(&parameter["schema"]),
                text(&parameter["description"]),
            );
        }
        page.push_str("</table>");
    }
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    if !body.is_null() {
        let _ = write!(page, "<p>Body: {}</p>", shape(body));
    }
    page.push_str("<table><tr><th>Status<th>Answer<th>Shape");
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let response = resolved(response, document);
        let content = response["content"].as_object().into_iter().flatten().next();
        let _ = write!(
            page,
            "<tr><td>{}<td>{}<td>{}",
            escape(status),
            text(&response["description"]),
            content.map(|(_, content)| shape(&content["schema"])).unwrap_or_default(),
        );
    }
    page.push_str("</table></details>");
}

/// What a reference within the document points to.
fn resolved<'a>(value: &'a Value, document: &'a Value) -> &'a Value {
    let pointer = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

/// A schema in a few words: a link to its shape, or its type.
fn shape(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        let name = escape(name);
        return format!("<a href='#{name}'>{name}</a>");
    }
    if let Some(options) = schema["oneOf"].as_array() {
        return options.iter().map(shape).collect::<Vec<_>>().join(" or ");
    }
    match &schema["type"] {
        Value::String(kind) => escape(kind),
        Value::Array(kinds) => kinds.iter().map(text).collect::<Vec<_>>().join(" or "),
        _ => String::new(),
    }
}

fn json(value: &Value) -> String {
    format!("<pre>{}</pre>", escape(&serde_json::to_string_pretty(value).unwrap_or_default()))
}

fn text(value: &Value) -> String {
    escape(value.as_str().unwrap_or_default())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&#39;").replace('"', "&quot;")
}

/// As much of Markdown as the document uses: paragraphs, lists, code and bold words.
fn markdown(text: &str) -> String {
    let mut html = String::new();
    for block in text.split("\n\n").map(str::trim).filter(|block| !block.is_empty()) {
        if block.starts_with("- ") {
            let items = block.trim_start_matches("- ").split("\n- ").map(|item| format!("<li>{}", inline(item)));
            let _ = write!(html, "<ul>{}</ul>", items.collect::<String>());
        } else if let Some((lead, list)) = block.split_once("\n- ") {
            html.push_str(&markdown(lead));
            html.push_str(&markdown(&format!("- {list}")));
        } else {
            let _ = write!(html, "<p>{}</p>", inline(block));
        }
    }
    html
}

fn inline(text: &str) -> String {
    let marked = |text: String, mark: &str, tag: &str| {
        let parts = text.split(mark).enumerate();
        parts.map(|(n, part)| if n % 2 == 1 { format!("<{tag}>{part}</{tag}>") } else { part.to_owned() }).collect()
    };
    let code: String = marked(escape(text), "`", "code");
    marked(code, "**", "b")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_document_says_cannot_become_markup() {
        let document = json!({ "info": { "title": "<script>" }, "paths": { "/a": { "get": {
            "summary": "<b>'x'", "tags": ["T&T"], "responses": { "200": { "description": "**good** `x<y`" } } } } } });
        let page = render(&document);
        assert!(
            !page.contains("<script>") && page.contains("&lt;b&gt;&#39;x&#39;") && page.contains("T&amp;T"),
            "{page}"
        );
    }

    #[test]
    fn lists_and_code_are_shown_as_such() {
        assert_eq!(
            markdown("Text:\n- **one** `a`\n- two"),
            "<p>Text:</p><ul><li><b>one</b> <code>a</code><li>two</ul>"
        );
    }
}
