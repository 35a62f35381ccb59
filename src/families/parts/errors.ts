import { PetalsError } from '../../base/errors.ts'

/** `FAMILY_UNKNOWN`: the model type is not supported; `FAMILY_UNSUPPORTED`: an option of a supported one is not. */
export type FamilyErrorCode = 'FAMILY_UNKNOWN' | 'FAMILY_UNSUPPORTED'

/** A model that cannot be run, found out before any weights are read. `option` is the field of its config.json. */
export class FamilyError extends PetalsError {
  declare readonly code: FamilyErrorCode

  constructor(code: FamilyErrorCode, option: string, value: string, problem: string) {
    super(code, `config.json: ${option} ${value} ${problem}`)
  }
}
