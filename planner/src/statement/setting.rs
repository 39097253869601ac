//! Transactions and settings: the words that change a session.

use crate::statement::ColumnName;

/// Transaction control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// `BEGIN`, `START TRANSACTION`.
    Begin(TransactionModes),
    /// `COMMIT`, `END`; `chain` begins the next one at once.
    Commit {
        /// `AND CHAIN`.
        chain: bool,
    },
    /// `ROLLBACK`, `ABORT`; `chain` begins the next one at once.
    Rollback {
        /// `AND CHAIN`.
        chain: bool,
    },
    /// `SAVEPOINT`.
    Savepoint(String),
    /// `RELEASE SAVEPOINT`.
    Release(String),
    /// `ROLLBACK TO SAVEPOINT`.
    RollbackTo(String),
}

/// What a transaction asks for; [`None`] is the session's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransactionModes {
    /// `ISOLATION LEVEL`.
    pub isolation: Option<Isolation>,
    /// `READ ONLY` or `READ WRITE`.
    pub access: Option<Access>,
    /// `DEFERRABLE` or `NOT DEFERRABLE`.
    pub deferrable: Option<bool>,
}

/// An isolation level, by the name of the standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// `READ UNCOMMITTED`.
    ReadUncommitted,
    /// `READ COMMITTED`.
    ReadCommitted,
    /// `REPEATABLE READ`.
    RepeatableRead,
    /// `SERIALIZABLE`.
    Serializable,
}

impl Isolation {
    /// The value of setting `transaction_isolation`.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::ReadUncommitted => "read uncommitted",
            Self::ReadCommitted => "read committed",
            Self::RepeatableRead => "repeatable read",
            Self::Serializable => "serializable",
        }
    }
}

/// Whether a transaction writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It does not.
    ReadOnly,
    /// It may.
    ReadWrite,
}

/// `SET` and `RESET`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// `SET [SESSION | LOCAL] name {TO | =} value`, also `SET TIME ZONE`, `SET NAMES`, `SET ROLE`
    /// and `SET SESSION AUTHORIZATION` under the setting's name.
    Set {
        /// Name in lower case.
        name: ColumnName,
        /// Value.
        value: SettingValue,
        /// `LOCAL`: until the transaction ends.
        local: bool,
    },
    /// `SET TRANSACTION`.
    Transaction(TransactionModes),
    /// `SET SESSION CHARACTERISTICS AS TRANSACTION`.
    Session(TransactionModes),
    /// `RESET name`.
    Reset(ColumnName),
    /// `RESET ALL`.
    ResetAll,
}

/// The value of a `SET`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingValue {
    /// `DEFAULT`.
    Default,
    /// The values, at least one; more for settings that are lists, such as `search_path`. Bare
    /// words are folded to lower case.
    Values(Vec<String>),
}
