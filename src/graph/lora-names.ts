/**
 * Name of the graph input that selects adapters: [rows, 1, ranks], 1 where a row uses that rank of the run's stacked
 * matrices, else 0.
 */
export const LORA_MASK = 'lora_mask'

/** Prefix of the names of inputs for matrices A; the module's name follows. */
export const LORA_A = 'lora_a:'

/** The names of a module's two inputs. */
export function loraInputs(module: string): { readonly a: string; readonly b: string } {
  return { a: `${LORA_A}${module}`, b: `lora_b:${module}` }
}
