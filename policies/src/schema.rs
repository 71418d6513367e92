//! What may policies speak of? The schema that is part of the program, and the names of its types.

use std::str::FromStr;
use std::sync::LazyLock;

use cedar_policy::{Entities, EntityId, EntityTypeName, EntityUid, Schema};

/// The text of the schema.
pub(crate) const TEXT: &str = include_str!("../schema.cedarschema");

/// The schema every policy is validated against.
#[expect(
    clippy::expect_used,
    reason = "the schema is part of the program, and every test reads it"
)]
pub(crate) static SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::from_cedarschema_str(TEXT).expect("a valid schema").0);

/// The actions and the groups they are in, without which `action in Action::"access"` is false.
#[expect(
    clippy::expect_used,
    reason = "the schema is part of the program, and every test reads it"
)]
pub(crate) static ACTIONS: LazyLock<Entities> =
    LazyLock::new(|| SCHEMA.action_entities().expect("a schema whose actions form no circle"));

macro_rules! types {
    ($($name:ident = $text:literal),* $(,)?) => {
        /// A type of entity in the schema.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Kind { $($name),* }

        impl Kind {
            fn type_name(self) -> &'static EntityTypeName {
                match self {
                    $(Self::$name => {
                        // INVARIANT: the names are literals below, and every test reads them.
                        static NAME: LazyLock<EntityTypeName> =
                            LazyLock::new(|| EntityTypeName::from_str($text).expect("a type name"));
                        &NAME
                    })*
                }
            }
        }
    };
}

types! {
    Action = "Action",
    App = "App",
    AppGroup = "AppGroup",
    Assurance = "Assurance",
    Device = "Device",
    DeviceGroup = "DeviceGroup",
    Group = "Group",
    KeyStore = "KeyStore",
    Method = "Method",
    Organization = "Organization",
    Ownership = "Ownership",
    Platform = "Platform",
    Session = "Session",
    User = "User",
    Zone = "Zone",
}

impl Kind {
    /// The entity of this type with that name.
    pub(crate) fn named(self, name: &str) -> EntityUid {
        EntityUid::from_type_name_and_id(self.type_name().clone(), EntityId::new(name))
    }

    /// Whether the entity is of this type.
    pub(crate) fn is_type_of(self, entity: &EntityUid) -> bool {
        entity.type_name() == self.type_name()
    }

    /// Whether this type has that name.
    pub(crate) fn is_called(self, name: &str) -> bool {
        self.type_name().to_string() == name
    }

    /// Whether this is the type meant.
    pub(crate) fn is_named(self, name: &EntityTypeName) -> bool {
        name == self.type_name()
    }
}
