//! `pg_typeof(x)`: the name of an expression's type. It looks at the type alone, never at a value.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use levada_catalog::pg;

use super::Snapshot;

/// The function over one snapshot, which has the names of types.
#[derive(Debug)]
pub(super) struct TypeOf {
    snapshot: Arc<Snapshot>,
    signature: Signature,
}

impl TypeOf {
    pub(super) fn new(snapshot: &Arc<Snapshot>) -> Self {
        Self { snapshot: Arc::clone(snapshot), signature: Signature::any(1, Volatility::Stable) }
    }
}

impl PartialEq for TypeOf {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.snapshot, &other.snapshot)
    }
}

impl Eq for TypeOf {}

impl Hash for TypeOf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl ScalarUDFImpl for TypeOf {
    fn name(&self) -> &'static str {
        "pg_typeof"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (oid, _) = pg::of_arrow(args.arg_fields[0].data_type());
        let name = pg::format_type(self.snapshot.catalog(), self.snapshot.context(), oid, None);
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(name))))
    }
}
