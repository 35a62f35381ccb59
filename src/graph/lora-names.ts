/** Which of the run's ranks each row uses: [rows, 1, ranks], ones and zeros. */
export const LORA_MASK = 'lora_mask'

/** What the names of matrices A begin with; the module's name follows. */
export const LORA_A = 'lora_a:'

/** What a graph calls a module's matrices. */
export function loraInputs(module: string): { readonly a: string; readonly b: string } {
  return { a: `${LORA_A}${module}`, b: `lora_b:${module}` }
}
