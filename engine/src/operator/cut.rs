//! Cuts: places between the byte keys of rows that are kept in the order of a value.
//!
//! ```text
//! rows in order of x     . . . . . . . [ . . . . . . . ] NULL NULL        x > y: from the cut to the NULLs
//!                                      ^ cut                              x < y: from the start to the cut
//! ```
//! Rows whose value equals the cut's lie before it or behind it, as the comparison has it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float32Array, Float64Array, new_null_array};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::row::{RowConverter, SortField};
use levada_planner::delta_plan::Comparison;

use crate::arrangement::spine::{Position, Spine};
use crate::error::Result;

/// A place between keys: before those that begin with some bytes, or behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    key: Box<[u8]>,
    behind: bool,
}

/// Makes cuts of values of one type.
#[derive(Debug)]
pub(crate) struct Cuts {
    by_value: RowConverter,
    /// What the keys of rows begin with whose value is NULL.
    null: Box<[u8]>,
    comparison: Comparison,
}

impl Cut {
    /// Its position among the keys of a spine.
    pub(crate) fn place(&self, spine: &Spine) -> Position {
        if self.behind { spine.seek_behind(&self.key) } else { spine.seek(&self.key) }
    }

    /// Whether a key lies before it.
    pub(crate) fn is_behind(&self, key: &[u8]) -> bool {
        *key < *self.key || (self.behind && key.starts_with(&self.key))
    }
}

impl Cuts {
    /// Cuts at values of this type.
    ///
    /// # Errors
    /// When the type has no order.
    pub(crate) fn new(data_type: &DataType, comparison: Comparison) -> Result<Self> {
        let options = SortOptions { descending: false, nulls_first: false };
        let field = SortField::new_with_options(data_type.clone(), options);
        let by_value = RowConverter::new(vec![field])?;
        let null = by_value.convert_columns(&[new_null_array(data_type, 1)])?;
        Ok(Self { null: null.row(0).data().into(), by_value, comparison })
    }

    /// The comparison.
    pub(crate) fn comparison(&self) -> Comparison {
        self.comparison
    }

    /// What the keys of rows begin with whose value is NULL; they are the last.
    pub(crate) fn null(&self) -> &[u8] {
        &self.null
    }

    /// The cut where no row passes.
    pub(crate) fn none(&self) -> Cut {
        match self.comparison.passes_before() {
            true => Cut { key: Box::default(), behind: false },
            false => Cut { key: self.null.clone(), behind: false },
        }
    }

    /// The cut at value `i` of `values`; where that is NULL, no row passes.
    ///
    /// # Errors
    /// When the values are of another type.
    pub(crate) fn at(&self, values: &ArrayRef, i: usize) -> Result<Cut> {
        if values.is_null(i) {
            return Ok(self.none());
        }
        let behind = matches!(self.comparison, Comparison::Above | Comparison::NotAbove);
        let value = outer_zero(&values.slice(i, 1), behind);
        let key = self.by_value.convert_columns(&[value])?;
        Ok(Cut { key: key.row(0).data().into(), behind })
    }
}

/// A value; of the two zeros, which compare as equal and lie side by side, the last one or the first.
fn outer_zero(value: &ArrayRef, last: bool) -> ArrayRef {
    match value.data_type() {
        DataType::Float64 if value.as_primitive::<Float64Type>().value(0) == 0.0 => {
            Arc::new(Float64Array::from(vec![if last { 0.0 } else { -0.0 }]))
        }
        DataType::Float32 if value.as_primitive::<Float32Type>().value(0) == 0.0 => {
            Arc::new(Float32Array::from(vec![if last { 0.0 } else { -0.0 }]))
        }
        _ => ArrayRef::clone(value),
    }
}
