import { PetalsError } from '../../base/errors.ts'

/**
 * What can be wrong with a checkpoint:
 * - `CHECKPOINT_MISSING_FILE`: the folder or a file in it is not there, or is not a plain file
 * - `CHECKPOINT_FORMAT`: a file is in a format that is not read (pickled weights, an unsupported tokenizer, broken
 *   JSON)
 * - `CHECKPOINT_CONFIG`: a field of config.json or generation_config.json
 * - `CHECKPOINT_INDEX`: the list of shards contradicts itself or the shards
 * - `CHECKPOINT_HEADER`: a safetensors header
 * - `CHECKPOINT_TRUNCATED`: a file is shorter than it says
 * - `CHECKPOINT_MISSING_TENSOR`, `CHECKPOINT_UNUSED_TENSOR`, `CHECKPOINT_SHAPE`, `CHECKPOINT_DTYPE`: the tensors do not
 *   fit the model
 */
export type CheckpointErrorCode =
  | 'CHECKPOINT_MISSING_FILE'
  | 'CHECKPOINT_FORMAT'
  | 'CHECKPOINT_CONFIG'
  | 'CHECKPOINT_INDEX'
  | 'CHECKPOINT_HEADER'
  | 'CHECKPOINT_TRUNCATED'
  | 'CHECKPOINT_MISSING_TENSOR'
  | 'CHECKPOINT_UNUSED_TENSOR'
  | 'CHECKPOINT_SHAPE'
  | 'CHECKPOINT_DTYPE'

/** A checkpoint that cannot be used as it is: the user has to repair it, convert it or choose another one. */
export class CheckpointError extends PetalsError {
  declare readonly code: CheckpointErrorCode

  constructor(code: CheckpointErrorCode, message: string, cause?: unknown) {
    super(code, message, cause === undefined ? undefined : { cause })
  }
}

/** "a, b, c and 4 more" */
export function listSome(names: readonly string[]): string {
  const shown = names.slice(0, 5).join(', ')
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown
}
