//! The schema of run.json, made from the types that write it, and compared with
//! `docs/run.schema.json`. `make schema` rewrites that file.

use alloc::{borrow::Cow, format, string::String, vec::Vec};

use schemars::{
    JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema,
    transform::transform_subschemas,
};
use serde_json::{Value, json};

use crate::{cpuset::CpuSet, exit::ExitCode, hex::Hex, histogram::Histogram, record, run::Run};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/run.schema.json");

/// Implements [`JsonSchema`] for what is written as text.
macro_rules! text {
    ($kind:ty, $name:literal, $about:literal, $pattern:literal) => {
        impl JsonSchema for $kind {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "description": $about, "type": "string", "pattern": $pattern })
            }
        }
    };
}

text!(
    Hex,
    "Hex",
    "A register or an address of up to 64 bits.",
    "^0x[0-9a-fA-F]{1,16}$"
);
text!(
    CpuSet,
    "CpuSet",
    "CPUs in the kernel's list format, like '0-23,25-127'; empty for none.",
    "^([0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*)?$"
);
text!(
    Histogram,
    "Histogram",
    "A log-linear histogram in ticks: minimum and maximum in base 36, then from the minimum's \
     bucket to the maximum's the count of each: a digit of base 36, or several in brackets, or a \
     capital letter for that many empty buckets; '-' without samples. See docs/report-format.md.",
    "^(-|[0-9a-z]+-[0-9a-z]+=([0-9a-z]|\\([0-9a-z]+\\))([A-Z]*([0-9a-z]|\\([0-9a-z]+\\)))*)$"
);

/// The version of the format.
pub fn version(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "const": record::SCHEMA })
}

/// The exit codes.
pub fn exit_code(_: &mut SchemaGenerator) -> Schema {
    let mut codes = ExitCode::BY_SERIOUSNESS.map(|(code, _)| code as u8);
    codes.sort_unstable();
    json_schema!({ "enum": codes })
}

/// Says what derived schemas leave open: how large an integer can be, and that
/// what is left out when empty is never null.
fn close(schema: &mut Schema) {
    transform_subschemas(&mut close, schema);
    let Some(map) = schema.as_object_mut() else {
        return;
    };
    if map.remove("format") == Some(json!("uint32")) {
        map.insert("maximum".into(), json!(u32::MAX));
    }
    if map.contains_key("const") {
        map.remove("type");
    }
    if let Some(Value::String(text)) = map.get_mut("description") {
        *text = text.replace('\n', " ");
    }
    let required = map.get("required").cloned().unwrap_or(json!([]));
    let properties = map.get_mut("properties").and_then(Value::as_object_mut);
    for (name, property) in properties.into_iter().flatten() {
        let Some(property) = property.as_object_mut() else {
            continue;
        };
        if required
            .as_array()
            .is_some_and(|r| r.contains(&json!(name)))
        {
            continue;
        }
        if let Some(kinds) = property.get_mut("type").and_then(Value::as_array_mut) {
            kinds.retain(|kind| kind != "null");
            let kind = kinds[0].clone();
            property.insert("type".into(), kind);
        }
        if let Some(any) = property.remove("anyOf") {
            let one = any.as_array().into_iter().flatten();
            let one = one
                .filter(|s| s["type"] != "null")
                .flat_map(Value::as_object);
            property.extend(
                one.flatten()
                    .map(|(key, value)| (key.clone(), value.clone())),
            );
        }
    }
}

fn generated() -> String {
    let schema = SchemaSettings::draft2020_12()
        .for_serialize()
        .with_transform(close)
        .into_generator()
        .into_root_schema_for::<Run>();
    let mut schema = schema.to_value();
    schema["$id"] = json!(format!("urn:stalecore:run:{}", record::SCHEMA));
    schema["title"] = json!(format!("run.json of stalecore, schema {}", record::SCHEMA));
    schema["description"] = json!(
        "Everything known of one run: what the host knew, and the records that the image wrote on \
         its console. A list is empty and a value null where the run did not get that far. A \
         reader passes over properties that it does not know; a change that an older reader would \
         misread makes the schema's number one more."
    );
    format!("{schema:#}\n")
}

#[test]
fn the_documentation_has_the_schema_of_the_types() {
    let generated = generated();
    if std::env::var_os("STALECORE_WRITE_SCHEMA").is_some() {
        std::fs::write(FILE, &generated).unwrap();
    }
    let file = std::fs::read_to_string(FILE).unwrap();
    let differ: Vec<_> = generated
        .lines()
        .zip(file.lines())
        .filter(|(a, b)| a != b)
        .take(3)
        .collect();
    assert!(
        generated == file,
        "'make schema' writes docs/run.schema.json anew: {differ:#?}"
    );
}
