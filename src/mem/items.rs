//! The caller's items: one or more named fields each.

use std::sync::Arc;

use super::field::Field;
use crate::error::{Error, Result, Status};
use crate::plan::dedup::Fields;

/// The items of a batch as the caller gave them. Cheap to clone; the fields are shared.
#[derive(Clone)]
pub struct Items {
    fields: Vec<Arc<Field>>,
    /// The fields of tensors that differ in dtype or shape.
    mixed: Vec<Arc<Field>>,
    costs: Option<Arc<[f64]>>,
}

impl Items {
    /// Items of one field.
    #[must_use]
    pub fn new(field: Field) -> Self {
        let mut items = Self {
            fields: Vec::new(),
            mixed: Vec::new(),
            costs: None,
        };
        items.push(field);
        items
    }

    /// Whether a field of this name and number of items could be added.
    pub fn check_new(&self, name: &str, len: usize) -> Result<()> {
        if len != self.len() {
            return Err(Error::new(
                Status::Argument,
                format_args!(
                    "the field '{name}' has {len} items, the others have {}",
                    self.len()
                ),
            ));
        }
        if self.field(name).is_some() {
            return Err(Error::new(
                Status::Argument,
                format_args!("there is a field '{name}' already"),
            ));
        }
        Ok(())
    }

    /// Adds a field of as many items, under a name of its own.
    pub fn add(&mut self, field: Field) -> Result<()> {
        self.check_new(field.name(), field.len())?;
        self.push(field);
        Ok(())
    }

    fn push(&mut self, field: Field) {
        let field = Arc::new(field);
        if field.is_mixed() {
            self.mixed.push(Arc::clone(&field));
        }
        self.fields.push(field);
    }

    /// Sets the cost of every item, in place of the tool's estimate.
    pub fn set_costs(&mut self, costs: &[f64]) -> Result<()> {
        if costs.len() != self.len() {
            return Err(Error::new(
                Status::Argument,
                format_args!("{} costs for {} items", costs.len(), self.len()),
            ));
        }
        crate::plan::order::check_costs(costs)?;
        self.costs = Some(costs.into());
        Ok(())
    }

    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields[0].len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first field of item `index`, which costs and extents are judged by.
    #[must_use]
    pub fn first(&self, index: usize) -> &[u8] {
        self.fields[0].get(index)
    }

    /// The field called `name`.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields().find(|field| &**field.name() == name)
    }

    /// The fields, in the order in which they were added.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = &Field> {
        self.fields.iter().map(Arc::as_ref)
    }

    /// The costs given by the caller.
    #[must_use]
    pub fn costs(&self) -> Option<&[f64]> {
        self.costs.as_deref()
    }

    /// Whether some field has nothing but the caller's patience to keep it alive.
    #[must_use]
    pub fn lent(&self) -> bool {
        self.fields().any(Field::lent)
    }
}

/// A tensor counts for dedup as two byte strings: its elements, and where they differ, dtype and shape.
impl Fields for Items {
    fn len(&self) -> usize {
        Items::len(self)
    }

    fn fields(&self) -> usize {
        self.fields.len() + self.mixed.len()
    }

    fn field(&self, item: usize, field: usize) -> &[u8] {
        match self.fields.get(field) {
            Some(field) => field.get(item),
            None => self.mixed[field - self.fields.len()]
                .label(item)
                .unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::tensors::Given;
    use crate::value::{Dtype, Shape};

    #[test]
    fn copied_items_are_what_was_given() {
        let items =
            Items::new(Field::copied("input", [&b"MKT"[..], b"", b"GAV"].into_iter()).unwrap());
        assert_eq!(items.len(), 3);
        assert_eq!(
            [items.first(0), items.first(1), items.first(2)],
            [&b"MKT"[..], b"", b"GAV"]
        );
    }

    #[test]
    fn tensors_of_equal_bytes_are_equal_only_in_dtype_and_shape() {
        let data = [0_u32; 6];
        let given = |dtype, dims: &[i64]| {
            Ok(Given {
                data: data.as_ptr().cast(),
                bytes: 24,
                dtype,
                shape: Shape::new(dims).unwrap(),
                strides: None,
            })
        };
        let tensors = [
            given(Dtype::Float32, &[6]),
            given(Dtype::Int32, &[6]),
            given(Dtype::Float32, &[2, 3]),
            given(Dtype::Float32, &[6]),
        ];
        // SAFETY: the data outlives the items.
        let field = unsafe { Field::tensors("0", tensors.into_iter(), None) };
        let items = Items::new(field.unwrap());
        assert!(items.lent());
        let dedup = crate::plan::dedup::Dedup::find(&items);
        assert_eq!(dedup.uniques(), 3);
        assert_eq!(dedup.unique_of(3), 0);
    }

    #[test]
    fn fields_of_other_lengths_or_of_the_same_name_are_refused() {
        let field =
            |name: &str, n: usize| Field::copied(name, vec![&b"x"[..]; n].into_iter()).unwrap();
        let mut items = Items::new(field("input", 2));
        assert!(
            items
                .add(field("msa", 3))
                .unwrap_err()
                .message()
                .contains("3 items")
        );
        assert!(items.add(field("input", 2)).is_err());
        items.add(field("msa", 2)).unwrap();
        assert_eq!(items.field("msa").map(|f| f.get(1)), Some(&b"x"[..]));
    }
}
