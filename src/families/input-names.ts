/** What graphs call the table of the model's rotary embedding number `rope`. */
export function ropeInputs(rope: number): { readonly cos: string; readonly sin: string } {
  return rope === 0 ? { cos: 'cos', sin: 'sin' } : { cos: `cos_${rope}`, sin: `sin_${rope}` }
}
