/** The names of the graph inputs for the tables of rotary embedding number `rope` of the model. */
export function ropeInputs(rope: number): { readonly cos: string; readonly sin: string } {
  return rope === 0 ? { cos: 'cos', sin: 'sin' } : { cos: `cos_${rope}`, sin: `sin_${rope}` }
}

/** The name of an input or output that each row of a run has, for the row `row`, where rows have their own. */
export function ofRow(name: string, row: number): string {
  return `${name}.${row}`
}
