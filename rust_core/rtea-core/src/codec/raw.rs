//! Reads the fields of a value before any rule is applied.
//!
//! [`super::json`] and [`super::msgpack`] drive these readers through serde, for the fields in [`super::fields`]. [`super::rules`] checks what they found. A
//! wrong type becomes a token, not a serde error, so that a dead letter can name its field.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A scalar field as found.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Token<'a> {
    /// Not there, or null: optional fields treat both the same.
    #[default]
    Absent,
    Text(Cow<'a, str>),
    /// MessagePack bytes, or a MessagePack string that is not UTF-8.
    BadText,
    Integer(i64),
    Number(f64),
    /// An amount in minor units of its currency, from an event map.
    Minor(i64),
    /// A boolean, an array, an object.
    Other,
}

/// Reads any value, also of an unknown field. If serde's `IgnoredAny` skipped it instead, sonic-rs would not check it,
/// and invalid escapes would pass.
impl<'de> Deserialize<'de> for Token<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TokenVisitor)
    }
}

/// Reads any value as a token.
pub(super) struct TokenVisitor;

impl<'de> Visitor<'de> for TokenVisitor {
    type Value = Token<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Token::Absent)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Token::Other)
    }
    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Token::Integer(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        #[allow(clippy::cast_precision_loss)]
        Ok(i64::try_from(value).map_or(Token::Number(value as f64), Token::Integer))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Token::Number(value))
    }
    fn visit_f32<E>(self, value: f32) -> Result<Self::Value, E> {
        // Takes the shortest decimal that gives this float: 32.01, not the 32.0099983 of the wider float.
        Ok(Token::Number(value.to_string().parse().unwrap_or(f64::NAN)))
    }
    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Token::Text(Cow::Borrowed(value)))
    }
    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Token::Text(Cow::Owned(value.to_owned())))
    }
    fn visit_bytes<E>(self, _: &[u8]) -> Result<Self::Value, E> {
        Ok(Token::BadText)
    }
    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
        IgnoredAny::deserialize(inner).map(|_| Token::Other)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<Token<'de>>()?.is_some() {}
        Ok(Token::Other)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<Token<'de>, Token<'de>>()?.is_some() {}
        Ok(Token::Other)
    }
}

/// What was found where the schema expects an object or an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Shape {
    /// Not there, or null.
    #[default]
    Absent,
    /// The right container; its content was read.
    Found,
    /// Anything else.
    Wrong,
}

/// Reads the next value of a map or a sequence.
pub(super) trait Values<'de> {
    type Error;
    fn next<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Self::Error>;
}

struct MapValues<A>(A);

impl<'de, A: MapAccess<'de>> Values<'de> for MapValues<A> {
    type Error = A::Error;
    fn next<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(seed)
    }
}

struct SeqValues<A> {
    seq: A,
    ended: bool,
}

impl<'de, A: SeqAccess<'de>> Values<'de> for SeqValues<A> {
    type Error = A::Error;
    fn next<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.seq.next_element_seed(seed)?.ok_or_else(|| {
            self.ended = true;
            serde::de::Error::custom("end of array")
        })
    }
}

/// An object of the schema: named fields, with an order for the MessagePack array form.
pub(super) trait Fields<'de>: Default {
    /// Number of fields.
    const LEN: usize;
    /// Place of a field in schema order.
    fn index(key: &[u8]) -> Option<usize>;
    /// Reads the value of field `index` into its place.
    fn read<V: Values<'de>, const ARRAYS: bool>(&mut self, index: usize, values: &mut V) -> Result<(), V::Error>;
}

/// Fills one scalar in place.
pub(super) struct Scalar<'s, 'de>(pub(super) &'s mut Token<'de>);

impl<'de> DeserializeSeed<'de> for Scalar<'_, 'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        *self.0 = Token::deserialize(deserializer)?;
        Ok(())
    }
}

/// Fills fields in place, from an object, or from an array in schema order if `ARRAYS` allows it. In place, because
/// events are large: moving them through serde's layers takes longer than reading them.
pub(super) struct Fill<'s, R, const ARRAYS: bool>(pub(super) &'s mut R);

impl<'de, R: Fields<'de>, const ARRAYS: bool> DeserializeSeed<'de> for Fill<'_, R, ARRAYS> {
    type Value = Shape;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shape, D::Error> {
        deserializer.deserialize_any(self)
    }
}

macro_rules! scalars_are_wrong {
    () => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any value")
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Shape::Absent)
        }
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok(Shape::Wrong)
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok(Shape::Wrong)
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok(Shape::Wrong)
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok(Shape::Wrong)
        }
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok(Shape::Wrong)
        }
        fn visit_bytes<E>(self, _: &[u8]) -> Result<Self::Value, E> {
            Ok(Shape::Wrong)
        }
        fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
            IgnoredAny::deserialize(inner).map(|_| Shape::Wrong)
        }
    };
}

impl<'de, R: Fields<'de>, const ARRAYS: bool> Visitor<'de> for Fill<'_, R, ARRAYS> {
    type Value = Shape;
    scalars_are_wrong!();

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Shape, A::Error> {
        let mut values = SeqValues { seq, ended: false };
        if ARRAYS {
            for index in 0..R::LEN {
                match self.0.read::<_, ARRAYS>(index, &mut values) {
                    Err(_) if values.ended => return Ok(Shape::Found),
                    read => read?,
                }
            }
        }
        while values.seq.next_element::<Token<'de>>()?.is_some() {}
        Ok(if ARRAYS { Shape::Found } else { Shape::Wrong })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Shape, A::Error> {
        let mut values = MapValues(map);
        while let Some(index) = values.0.next_key_seed(Key(R::index))? {
            match index {
                Some(index) => self.0.read::<_, ARRAYS>(index, &mut values)?,
                None => drop(values.0.next_value::<Token<'de>>()?),
            }
        }
        Ok(Shape::Found)
    }
}

/// Finds a key among known fields; `None` for an unknown key.
struct Key(fn(&[u8]) -> Option<usize>);

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<usize>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Option<usize>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0(key.as_bytes()))
    }
    fn visit_bytes<E>(self, _: &[u8]) -> Result<Self::Value, E> {
        Ok(None)
    }
    // In MessagePack, a key can have any type.
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
        IgnoredAny::deserialize(inner).map(|_| None)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        TokenVisitor.visit_seq(seq).map(|_| None)
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        TokenVisitor.visit_map(map).map(|_| None)
    }
}

/// Fills a list of objects. Any other element sets `all_objects` to false.
pub(super) struct FillRows<'s, R, const ARRAYS: bool> {
    pub(super) rows: &'s mut Vec<R>,
    pub(super) all_objects: &'s mut bool,
}

impl<'de, R: Fields<'de>, const ARRAYS: bool> DeserializeSeed<'de> for FillRows<'_, R, ARRAYS> {
    type Value = Shape;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shape, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, R: Fields<'de>, const ARRAYS: bool> Visitor<'de> for FillRows<'_, R, ARRAYS> {
    type Value = Shape;
    scalars_are_wrong!();

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
        self.rows.clear();
        *self.all_objects = true;
        loop {
            let mut row = R::default();
            match seq.next_element_seed(Fill::<R, ARRAYS>(&mut row))? {
                Some(shape) => *self.all_objects &= shape == Shape::Found,
                None => return Ok(Shape::Found),
            }
            self.rows.push(row);
        }
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        while map.next_entry::<Token<'de>, Token<'de>>()?.is_some() {}
        Ok(Shape::Wrong)
    }
}
