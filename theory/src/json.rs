//! JSON that people and other programs write.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// JSON in which no object has a key twice: of two values one would win without a word.
///
/// # Examples
/// ```
/// use theory::json::Unrepeated;
/// let Unrepeated(value) = serde_json::from_str(r#"{"a": [1, null]}"#)?;
/// assert_eq!(value["a"][0], 1);
/// let error = serde_json::from_str::<Unrepeated>(r#"{"a": {"b": 1, "b": 2}}"#).unwrap_err();
/// assert!(error.to_string().starts_with("the key 'b' is there twice"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Unrepeated(pub Value);

impl<'de> Deserialize<'de> for Unrepeated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Unrepeated;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut entries: A,
            ) -> std::result::Result<Unrepeated, A::Error> {
                let mut object = Map::new();
                while let Some((key, Unrepeated(value))) = entries.next_entry::<String, Unrepeated>()? {
                    if object.contains_key(&key) {
                        return Err(Error::custom(format!("the key '{key}' is there twice")));
                    }
                    object.insert(key, value);
                }
                Ok(Unrepeated(object.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut entries: A,
            ) -> std::result::Result<Unrepeated, A::Error> {
                let mut array = Vec::new();
                while let Some(Unrepeated(value)) = entries.next_element()? {
                    array.push(value);
                }
                Ok(Unrepeated(array.into()))
            }

            fn visit_bool<E>(self, value: bool) -> std::result::Result<Unrepeated, E> {
                Ok(Unrepeated(value.into()))
            }

            fn visit_i64<E>(self, value: i64) -> std::result::Result<Unrepeated, E> {
                Ok(Unrepeated(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> std::result::Result<Unrepeated, E> {
                Ok(Unrepeated(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> std::result::Result<Unrepeated, E> {
                Ok(Unrepeated(value.into()))
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Unrepeated, E> {
                Ok(Unrepeated(value.into()))
            }

            fn visit_unit<E>(self) -> std::result::Result<Unrepeated, E> {
                Ok(Unrepeated(Value::Null))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}
