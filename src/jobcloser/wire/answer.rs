//! The envelope around everything that JobCloser answers, and what is read out of it:
//! ids after a `createbatch`, the company after a sign-in.
//!
//! ```text
//! {"Success":true,"Message":"Sucess","Result":…}
//! ```
//!
//! `Message` is shown to people and never matched on: the page itself misspells it. The
//! sign-in answer repeats the password, so nothing of it but two ids is kept, and no
//! error says what was in it.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Characters of a server's message that are kept.
const MESSAGE_MAX: usize = 200;

/// What an answer says, where it is JSON with an envelope.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// `Success`; `None` where it is missing or no boolean.
    pub success: Option<bool>,
    /// `Message`, on one line and cut to a length; `None` where it is missing or empty.
    pub message: Option<String>,
    /// The ids in `Result`, in its order: an array of strings or of objects with an `Id`,
    /// or one of either. Empty where there are none.
    pub ids: Vec<Option<String>>,
}

/// Reads the envelope; `None` for what isn't a JSON object.
pub fn parse_answer(body: &[u8]) -> Option<Said> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let answer = answer.as_object()?;
    let ids = match answer.get("Result") {
        Some(Value::Array(rows)) => rows.iter().map(id).collect(),
        Some(one) => id(one).map(Some).into_iter().collect(),
        None => Vec::new(),
    };
    Some(Said {
        success: answer.get("Success").and_then(Value::as_bool),
        message: answer
            .get("Message")
            .and_then(Value::as_str)
            .map(one_line)
            .filter(|m| !m.is_empty()),
        ids,
    })
}

fn id(row: &Value) -> Option<String> {
    let id = row.as_str().or_else(|| row.get("Id")?.as_str())?;
    (!id.is_empty()).then(|| id.to_owned())
}

/// A message from outside, fit for a log line: no control characters, not too long.
pub(super) fn one_line(message: &str) -> String {
    let kept = message.trim().chars().take(MESSAGE_MAX);
    kept.map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// What a sign-in answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedIn {
    /// `Success` true and a `Result` that is an object.
    Yes {
        /// `CompanyId`.
        company_id: Option<String>,
        /// `Id`: the user.
        user_id: Option<String>,
    },
    /// `Success` false.
    No,
    /// Neither: HTML, a cut answer, success without a user.
    Unclear,
}

/// Reads the answer to a sign-in.
pub fn parse_sign_in(body: &[u8]) -> SignedIn {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(rename = "Success")]
        success: bool,
        #[serde(rename = "Result", default)]
        user: Option<Object<User>>,
    }
    #[derive(Deserialize)]
    struct User {
        #[serde(rename = "Id", default)]
        id: Option<String>,
        #[serde(rename = "CompanyId", default)]
        company_id: Option<String>,
    }
    match serde_json::from_slice(body) {
        Ok(Object(Answer { success: false, user: _ })) => SignedIn::No,
        Ok(Object(Answer { success: true, user: Some(Object(User { id, company_id })) })) => {
            SignedIn::Yes { company_id, user_id: id }
        }
        Ok(Object(Answer { success: true, user: None })) | Err(_) => SignedIn::Unclear,
    }
}

/// A struct read from a JSON object alone: derived ones also take an array, field by
/// field in their order, and no answer of the page is one.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn ids(result: &str) -> Vec<Option<String>> {
        parse_answer(format!(r#"{{"Success":true,"Result":{result}}}"#).as_bytes()).unwrap().ids
    }

    #[test]
    fn ids_come_as_strings_as_objects_or_not_at_all() {
        let ab = [Some("a".to_owned()), Some("b".to_owned())];
        assert_eq!(ids(r#"["a","b"]"#), ab);
        assert_eq!(ids(r#"[{"Id":"a","JobId":"j"},{"Id":"b"}]"#), ab);
        assert_eq!(ids(r#"{"Id":"a"}"#), ab[..1]);
        assert_eq!(ids(r#"["a",null,{"Id":null},{},""]"#), [ab[0].clone(), None, None, None, None]);
        for none in ["null", "true", "3", "{}", "[]"] {
            assert_eq!(ids(none), [], "{none}");
        }
        assert_eq!(parse_answer(br#"{"Success":true}"#).unwrap().ids, []);
    }

    #[test]
    fn success_is_the_boolean_alone() {
        let said = |body: &str| parse_answer(body.as_bytes()).map(|s| s.success);
        assert_eq!(said(r#"{"Success":true}"#), Some(Some(true)));
        assert_eq!(said(r#"{"Success":false}"#), Some(Some(false)));
        assert_eq!(said(r#"{"Success":"true"}"#), Some(None));
        assert_eq!(said(r#"{"Message":"Success"}"#), Some(None));
        assert_eq!(said(r#"["Success"]"#), None);
        assert_eq!(said("<html>"), None);
    }

    #[test]
    fn a_message_is_one_short_line() {
        let long = format!(r#"{{"Message":" No\r\n{} "}}"#, "x".repeat(1000));
        let message = parse_answer(long.as_bytes()).unwrap().message.unwrap();
        assert!(message.starts_with("No  xx"));
        assert_eq!(message.chars().count(), MESSAGE_MAX);
        assert_eq!(parse_answer(br#"{"Message":"  "}"#).unwrap().message, None);
    }

    #[rstest]
    #[case(r#"{"Success":true,"Result":{"Id":"u","CompanyId":"c","Password":"p"}}"#,
        SignedIn::Yes { company_id: Some("c".into()), user_id: Some("u".into()) })]
    #[case(r#"{"Success":true,"Result":{}}"#, SignedIn::Yes { company_id: None, user_id: None })]
    #[case(r#"{"Success":false,"Message":"The specified email","Result":null}"#, SignedIn::No)]
    #[case(r#"{"Success":true,"Result":null}"#, SignedIn::Unclear)]
    #[case(r#"[true,{"Id":"u"}]"#, SignedIn::Unclear)]
    #[case(r#"{"Success":true,"Result":["u"]}"#, SignedIn::Unclear)]
    #[case(r#"{"Success":true,"Result":"welcome"}"#, SignedIn::Unclear)]
    #[case(r#"{"Result":{"Id":"u"}}"#, SignedIn::Unclear)]
    #[case("<html>", SignedIn::Unclear)]
    fn a_sign_in_needs_success_and_a_user(#[case] body: &str, #[case] says: SignedIn) {
        assert_eq!(parse_sign_in(body.as_bytes()), says);
    }
}
