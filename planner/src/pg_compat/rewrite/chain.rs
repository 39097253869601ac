//! Long chains of AND and OR, as balanced trees.
//!
//! A parser makes `a OR b OR c ...` a tree as deep as the chain is long, and every rule that asks a node for
//! its type walks all of it. Both operators are associative, so a tree of logarithmic depth means the same.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr};

use super::cast::take;

/// Operands of a chain that is left as it is.
const SHORT: usize = 16;

pub(super) fn balance(expr: &mut Expr) {
    let Expr::BinaryOp { op, .. } = expr else { return };
    if !matches!(op, BinaryOperator::And | BinaryOperator::Or) {
        return;
    }
    let op = op.clone();
    if length(expr, &op) <= SHORT {
        return;
    }
    let mut operands = Vec::new();
    let mut rest = take(expr);
    loop {
        match rest {
            Expr::BinaryOp { left, op: own, right } if own == op => {
                operands.push(*right);
                rest = *left;
            }
            first => {
                operands.push(first);
                break;
            }
        }
    }
    operands.reverse();
    while operands.len() > 1 {
        let mut level = operands.into_iter();
        let mut joined = Vec::with_capacity(level.len() / 2 + 1);
        while let Some(left) = level.next() {
            joined.push(match level.next() {
                Some(right) => {
                    Expr::BinaryOp { left: Box::new(left), op: op.clone(), right: Box::new(right) }
                }
                None => left,
            });
        }
        operands = joined;
    }
    if let Some(tree) = operands.pop() {
        *expr = tree;
    }
}

/// Operands along the left side of a chain.
fn length(mut expr: &Expr, op: &BinaryOperator) -> usize {
    let mut operands = 1;
    while let Expr::BinaryOp { left, op: own, .. } = expr
        && own == op
    {
        operands += 1;
        expr = left;
    }
    operands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_chain_becomes_shallow_and_keeps_its_order() {
        let names: Vec<String> = (0..100).map(|i| format!("c{i}")).collect();
        let mut expr = crate::parse::expression(&names.join(" OR ")).expect("an expression");
        balance(&mut expr);
        assert_eq!(expr.to_string(), names.join(" OR "));
        assert!(length(&expr, &BinaryOperator::Or) <= 8, "the left side is short");
    }
}
