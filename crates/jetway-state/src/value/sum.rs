//! A sum over all that a value serialises: equal for two values of a type that differ in the order of a map or a set alone.

use serde::{
    Serialize, Serializer,
    de::value::Error,
    ser::{
        SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};

/// The sum of a value as a format writes it that people read, such as JSON, or one that they do not, such as CBOR. `None` if it
/// cannot be serialised.
pub(crate) fn sum<T: Serialize>(value: &T, human_readable: bool) -> Option<u64> {
    value.serialize(Summing { human_readable }).ok()
}

/// What a number stands for, so that `false`, `0` and an empty list differ.
#[derive(Clone, Copy)]
enum Kind {
    None,
    Unit,
    Bool,
    Number,
    Negative,
    Wide,
    Float,
    Text,
    Bytes,
    Variant,
    List,
    Map,
}

/// Every serialised value is a number. Those of a list's elements and of a map's entries are added, in any order.
#[derive(Clone, Copy)]
struct Summing {
    human_readable: bool,
}

/// An odd constant with bits in all places: the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(one: u64, other: u64) -> u64 {
    let mixed = (one.rotate_left(23) ^ other).wrapping_mul(SPREAD);
    mixed ^ (mixed >> 29)
}

fn leaf(kind: Kind, bits: u64) -> u64 {
    mix(kind as u64 + 1, bits)
}

fn signed(value: i64) -> u64 {
    let kind = if value < 0 { Kind::Negative } else { Kind::Number };
    leaf(kind, value.unsigned_abs())
}

/// Formats do not keep which of the many values that are not numbers it was.
fn float(value: f64) -> u64 {
    leaf(Kind::Float, if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() })
}

fn of_bytes(kind: Kind, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    let rest = rest.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte));
    words.chain([rest, bytes.len() as u64]).fold(leaf(kind, 0), mix)
}

/// The numbers of one list or map.
struct Elements {
    summing: Summing,
    /// The kind, and the name of the variant.
    head: u64,
    count: u64,
    sum: u64,
    /// The key of the entry whose value comes next.
    key: u64,
}

impl Elements {
    fn add(&mut self, element: u64) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(element);
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let element = value.serialize(self.summing)?;
        self.add(element);
        Ok(())
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        let value = value.serialize(self.summing)?;
        self.add(mix(of_bytes(Kind::Text, name.as_bytes()), value));
        Ok(())
    }

    fn total(self) -> u64 {
        mix(mix(self.head, self.count), self.sum)
    }
}

impl Summing {
    fn elements(self, kind: Kind) -> Elements {
        Elements { summing: self, head: leaf(kind, 0), count: 0, sum: 0, key: 0 }
    }

    fn variant(self, kind: Kind, name: &str) -> Elements {
        Elements { head: mix(leaf(kind, 1), of_bytes(Kind::Variant, name.as_bytes())), ..self.elements(kind) }
    }
}

macro_rules! leaves {
    ($($method:ident($type:ty) = $bits:expr;)*) => {
        $(fn $method(self, value: $type) -> Result<u64, Error> {
            let bits: fn($type) -> u64 = $bits;
            Ok(bits(value))
        })*
    };
}

/// Serde's data model is long; each line says what one of its types is as a number.
impl Serializer for Summing {
    type Ok = u64;
    type Error = Error;
    type SerializeSeq = Elements;
    type SerializeTuple = Elements;
    type SerializeTupleStruct = Elements;
    type SerializeTupleVariant = Elements;
    type SerializeMap = Elements;
    type SerializeStruct = Elements;
    type SerializeStructVariant = Elements;

    leaves! {
        serialize_bool(bool) = |value| leaf(Kind::Bool, value.into());
        serialize_i8(i8) = |value| signed(value.into());
        serialize_i16(i16) = |value| signed(value.into());
        serialize_i32(i32) = |value| signed(value.into());
        serialize_i64(i64) = signed;
        serialize_u8(u8) = |value| leaf(Kind::Number, value.into());
        serialize_u16(u16) = |value| leaf(Kind::Number, value.into());
        serialize_u32(u32) = |value| leaf(Kind::Number, value.into());
        serialize_u64(u64) = |value| leaf(Kind::Number, value);
        serialize_i128(i128) = |value| of_bytes(Kind::Wide, &value.to_le_bytes());
        serialize_u128(u128) = |value| of_bytes(Kind::Wide, &value.to_le_bytes());
        serialize_f32(f32) = |value| float(value.into());
        serialize_f64(f64) = float;
        serialize_char(char) = |value| leaf(Kind::Text, u64::from(u32::from(value)));
        serialize_str(&str) = |value| of_bytes(Kind::Text, value.as_bytes());
        serialize_bytes(&[u8]) = |value| of_bytes(Kind::Bytes, value);
        serialize_unit_struct(&'static str) = |_name| leaf(Kind::Unit, 0);
    }

    fn serialize_none(self) -> Result<u64, Error> {
        Ok(leaf(Kind::None, 0))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<u64, Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<u64, Error> {
        Ok(leaf(Kind::Unit, 0))
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<u64, Error> {
        Ok(of_bytes(Kind::Variant, variant.as_bytes()))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<u64, Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<u64, Error> {
        Ok(mix(of_bytes(Kind::Variant, variant.as_bytes()), value.serialize(self)?))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Elements, Error> {
        Ok(self.elements(Kind::List))
    }

    fn serialize_tuple(self, _: usize) -> Result<Elements, Error> {
        Ok(self.elements(Kind::List))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Elements, Error> {
        Ok(self.elements(Kind::List))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Elements, Error> {
        Ok(self.variant(Kind::List, variant))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Elements, Error> {
        Ok(self.elements(Kind::Map))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Elements, Error> {
        Ok(self.elements(Kind::Map))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Elements, Error> {
        Ok(self.variant(Kind::Map, variant))
    }

    fn is_human_readable(&self) -> bool {
        self.human_readable
    }
}

macro_rules! lists {
    ($($list:ident::$method:ident,)*) => {
        $(impl $list for Elements {
            type Ok = u64;
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.element(value)
            }

            fn end(self) -> Result<u64, Error> {
                Ok(self.total())
            }
        })*
    };
}

lists! {
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field,
}

macro_rules! structs {
    ($($fields:ident,)*) => {
        $(impl $fields for Elements {
            type Ok = u64;
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Error> {
                self.field(name, value)
            }

            fn end(self) -> Result<u64, Error> {
                Ok(self.total())
            }
        })*
    };
}

structs! { SerializeStruct, SerializeStructVariant, }

impl SerializeMap for Elements {
    type Ok = u64;
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.key = key.serialize(self.summing)?;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let value = value.serialize(self.summing)?;
        self.add(mix(self.key, value));
        Ok(())
    }

    fn end(self) -> Result<u64, Error> {
        Ok(self.total())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[derive(Serialize)]
    enum Shape {
        Empty,
        One(u32),
        Two(u32, u32),
        Named { a: u32, b: u32 },
    }

    #[track_caller]
    fn all_differ<T: Serialize>(values: &[T]) {
        let sums: BTreeSet<_> = values.iter().map(|value| sum(value, true).unwrap()).collect();
        assert_eq!(sums.len(), values.len());
    }

    /// A map in this order.
    struct InOrder(Vec<(u32, String)>);

    impl Serialize for InOrder {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
        }
    }

    #[test]
    fn the_order_of_a_map_or_a_set_does_not_matter() {
        let mut pairs: Vec<_> = (0..20_u32).map(|n| (n, n.to_string())).collect();
        let there = [sum(&InOrder(pairs.clone()), true), sum(&pairs, true)];
        for seed in 1..20 {
            pairs.rotate_left(seed);
            pairs.swap(0, seed);
            assert_eq!([sum(&InOrder(pairs.clone()), true), sum(&pairs, true)], there);
        }
    }

    #[test]
    fn values_that_differ_have_other_sums() {
        all_differ(&["", "a", "b", "ab", "ba", "a\0", "abcdefgh", "abcdefgi", "abcdefgha"]);
        all_differ(&[vec![], vec![0], vec![0, 0], vec![1], vec![1, 2], vec![3]]);
        all_differ(&[None, Some(0), Some(1)]);
        all_differ(&[-0.0, 0.0, 1.0, 5e-324]);
        all_differ(&[
            Shape::Empty,
            Shape::One(0),
            Shape::One(1),
            Shape::Two(0, 1),
            Shape::Named { a: 0, b: 1 },
            Shape::Named { a: 1, b: 0 },
        ]);
        // A value that moved from one key to another.
        all_differ(&[BTreeMap::from([("a", 1), ("b", 2)]), BTreeMap::from([("a", 2), ("b", 1)])]);
        all_differ(&[
            BTreeMap::from([("a", vec![1]), ("b", vec![])]),
            BTreeMap::from([("a", vec![]), ("b", vec![1])]),
        ]);
    }

    #[test]
    fn a_type_may_differ_between_formats() {
        let ip = std::net::IpAddr::from([127, 0, 0, 1]);
        assert_eq!(sum(&ip, true), sum(&"127.0.0.1", true));
        assert_ne!(sum(&ip, true), sum(&ip, false));
    }
}
