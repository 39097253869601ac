//! The 22 queries of TPC-H with the parameters of its validation.

/// Name and text of each, in order.
pub(crate) const QUERIES: [(&str, &str); 22] = [
    ("q1", include_str!("../../tpch/q1.sql")),
    ("q2", include_str!("../../tpch/q2.sql")),
    ("q3", include_str!("../../tpch/q3.sql")),
    ("q4", include_str!("../../tpch/q4.sql")),
    ("q5", include_str!("../../tpch/q5.sql")),
    ("q6", include_str!("../../tpch/q6.sql")),
    ("q7", include_str!("../../tpch/q7.sql")),
    ("q8", include_str!("../../tpch/q8.sql")),
    ("q9", include_str!("../../tpch/q9.sql")),
    ("q10", include_str!("../../tpch/q10.sql")),
    ("q11", include_str!("../../tpch/q11.sql")),
    ("q12", include_str!("../../tpch/q12.sql")),
    ("q13", include_str!("../../tpch/q13.sql")),
    ("q14", include_str!("../../tpch/q14.sql")),
    ("q15", include_str!("../../tpch/q15.sql")),
    ("q16", include_str!("../../tpch/q16.sql")),
    ("q17", include_str!("../../tpch/q17.sql")),
    ("q18", include_str!("../../tpch/q18.sql")),
    ("q19", include_str!("../../tpch/q19.sql")),
    ("q20", include_str!("../../tpch/q20.sql")),
    ("q21", include_str!("../../tpch/q21.sql")),
    ("q22", include_str!("../../tpch/q22.sql")),
];
