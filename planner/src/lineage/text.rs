//! Expressions as lineage shows them: with the operators that were written, and the parentheses they need.

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{BinaryExpr, Expr};

use crate::arithmetic::operation;

/// The text of an expression.
pub(super) fn text(expr: &Expr) -> String {
    let shown = expr.clone().transform_up(|e| Ok(Transformed::yes(with_parentheses(operators(e)))));
    shown.map_or_else(|_| expr.human_display().to_string(), |e| e.data.human_display().to_string())
}

/// An operator in place of a function of checked arithmetic.
fn operators(expr: Expr) -> Expr {
    let Expr::ScalarFunction(call) = &expr else { return expr };
    let Some(operation) = operation(&call.func) else { return expr };
    match (operation.operator(), call.args.as_slice()) {
        (Some(op), [left, right]) => {
            Expr::BinaryExpr(BinaryExpr::new(Box::new(left.clone()), op, Box::new(right.clone())))
        }
        (None, [operand]) => match operation.sign() {
            Some(sign) => {
                verbatim(format!("{sign}{}", enclosed(operand.clone(), u8::MAX).human_display()))
            }
            None => verbatim(format!("abs({})", operand.human_display())),
        },
        _ => expr,
    }
}

/// An operator whose operands stand in parentheses where they bind less.
fn with_parentheses(expr: Expr) -> Expr {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return expr };
    let precedence = op.precedence();
    let left = enclosed(*left, precedence);
    let right = enclosed(*right, precedence + 1);
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
}

/// An operand, in parentheses if it binds less than `precedence`.
fn enclosed(operand: Expr, precedence: u8) -> Expr {
    let mut inner = &operand;
    while let Expr::Cast(cast) = inner {
        inner = &cast.expr;
    }
    match inner {
        Expr::BinaryExpr(binary) if binary.op.precedence() < precedence => {
            verbatim(format!("({})", inner.human_display()))
        }
        _ => operand,
    }
}

/// A text as an expression that is shown as that text.
fn verbatim(text: String) -> Expr {
    Expr::Column(Column::new_unqualified(text))
}
