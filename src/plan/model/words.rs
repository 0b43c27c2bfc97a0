//! Enums that plans write as words.

/// Makes an enum from one table: the variants, what they mean, and the plan's word for each. The
/// reader, the schema, `ALL` and `word` follow from it.
macro_rules! words {
    (
        $(#[$outer:meta])*
        pub enum $name:ident { $($(#[$inner:meta])* $variant:ident = $word:literal,)+ }
    ) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[derive(serde::Deserialize, schemars::JsonSchema)]
        pub enum $name { $($(#[$inner])* #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// All of them, in the order in which help texts name them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The plan's word for it.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }
    };
}

pub(super) use words;
