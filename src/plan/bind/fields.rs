//! Which keys a written type has.
//!
//! In: a type that derives `Deserialize`. Out: its kinds, and the keys of each. Serde hands both
//! over when it is asked to read the type, so there is no second list to keep.

use std::cell::Cell;

use serde::de::value::{Error, StrDeserializer};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer,
    VariantAccess, Visitor,
};

/// Words that serde hands over.
type Words = &'static [&'static str];

/// The kinds of a type whose keys depend on its `kind`.
pub(crate) fn kinds<'de, T: Deserialize<'de>>() -> Words {
    let probe = Probe::default();
    let _stopped = T::deserialize(&probe);
    probe.kinds.get()
}

/// The keys that such a type has under one kind; none for a word that is no kind.
pub(crate) fn keys_of_kind<'de, T: Deserialize<'de>>(kind: &'de str) -> Words {
    let probe = Probe { kind, ..Probe::default() };
    let _stopped = T::deserialize(&probe);
    probe.keys.get()
}

/// Looks at what it is asked for, and hands out nothing.
#[derive(Default)]
struct Probe<'k> {
    kind: &'k str,
    kinds: Cell<Words>,
    keys: Cell<Words>,
}

fn stop<T>() -> Result<T, Error> {
    Err(Error::custom("only the names were wanted"))
}

impl<'k> Deserializer<'k> for &Probe<'k> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'k>>(self, _: V) -> Result<V::Value, Error> {
        stop()
    }

    fn deserialize_struct<V: Visitor<'k>>(
        self,
        _: &'static str,
        fields: Words,
        _: V,
    ) -> Result<V::Value, Error> {
        self.keys.set(fields);
        stop()
    }

    fn deserialize_enum<V: Visitor<'k>>(
        self,
        _: &'static str,
        variants: Words,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.kinds.set(variants);
        visitor.visit_enum(self)
    }

    serde::forward_to_deserialize_any! {
        <V: Visitor<'k>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit unit_struct newtype_struct seq tuple tuple_struct map identifier ignored_any
    }
}

impl<'k> EnumAccess<'k> for &Probe<'k> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'k>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        let word: StrDeserializer<'k, Error> = self.kind.into_deserializer();
        Ok((seed.deserialize(word)?, self))
    }
}

impl<'k> VariantAccess<'k> for &Probe<'k> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }
    fn newtype_variant_seed<S: DeserializeSeed<'k>>(self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(self)
    }
    fn tuple_variant<V: Visitor<'k>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        stop()
    }
    fn struct_variant<V: Visitor<'k>>(self, keys: Words, _: V) -> Result<V::Value, Error> {
        self.keys.set(keys);
        stop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::file::StageFile;

    #[test]
    fn serde_tells_kinds_and_their_keys() {
        assert!(kinds::<StageFile>().contains(&"flush"));
        assert!(keys_of_kind::<StageFile>("cold").contains(&"requests"));
        assert!(!keys_of_kind::<StageFile>("pause").contains(&"requests"));
        assert!(keys_of_kind::<StageFile>("cool").is_empty());
    }
}
