//! The incremental plan: plain, printable data between SQL and running operators.
//!
//! A [`DeltaPlan`] is a list of nodes in topological order; node `i` reads only nodes before it. Every
//! node transforms the deltas of its inputs into the delta of its output. Expressions are compiled once,
//! when the plan is made; columns are referred to by position.
//!
//! | node | meaning as bags | cost |
//! |---|---|---|
//! | `Relation` | a stored relation | - |
//! | `Constant` | fixed rows, once | - |
//! | `Clock` | one row of values of the clock | - |
//! | `Filter`, `Project`, `Union`, `Unnest` | rows one by one | `O(delta)` |
//! | `Distinct` | each row once | `O(delta)` |
//! | `Aggregate` | one row per group | `O(delta)`; `O(delta log n)` for medians; `O(group)` where a call needs all rows of its group |
//! | `Join` | equi-join of any kind, with residual | `O(delta + matches)` |
//! | `Threshold` | rows beside one that is compared with them | `O(delta log n + crossing)` |
//! | `Temporal` | rows on one side of a bound that rises with the clock | `O(delta log n + crossing)` |
//! | `TopK` | the first rows of each partition | `O(delta log n + shown)` |
//! | `Window` | window functions | `O(delta log n + reach)`; `O(delta log n + rows behind)`; `O(group)` |
//! | `Recompute` | any query, run again and subtracted | `RECOMPUTE` |

pub mod node;

pub use node::{
    Aggregate, AggregateCall, AggregateFunction, Comparison, CostClass, DeltaPlan, Expression,
    Fingerprint, Holistic, HolisticInput, Join, JoinKind, Node, NodeId, Numbering, Op, Properties,
    Quantile, Reach, Recompute, RowEnd, Running, SortKey, Temporal, Threshold, TopK, Unnest,
    Window, WindowCall,
};
