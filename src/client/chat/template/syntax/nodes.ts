import type { Comparison, Operator } from '../values/operators.ts'
import type { Value } from '../values/value.ts'

/** The arguments of a call as they are written. */
export interface CallArguments {
  readonly args: readonly Expression[]
  readonly kwargs: readonly (readonly [name: string, value: Expression])[]
  /** `*args` and `**kwargs`. */
  readonly spread: Expression | undefined
  readonly spreadNamed: Expression | undefined
}

export type Expression =
  | { readonly kind: 'constant'; readonly value: Value }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'list' | 'tuple'; readonly items: readonly Expression[] }
  | { readonly kind: 'dict'; readonly entries: readonly (readonly [Expression, Expression])[] }
  | { readonly kind: 'attribute'; readonly of: Expression; readonly name: string }
  | { readonly kind: 'item'; readonly of: Expression; readonly key: Expression }
  | {
      readonly kind: 'slice'
      readonly of: Expression
      /** Start, stop and step. */
      readonly bounds: readonly (Expression | undefined)[]
    }
  | { readonly kind: 'call'; readonly of: Expression; readonly given: CallArguments }
  | {
      readonly kind: 'filter' | 'test'
      readonly name: string
      /** Undefined in a filter without a value of its own: `{% filter %}` and `{% set %}` give it one. */
      readonly of: Expression | undefined
      readonly given: CallArguments
    }
  | { readonly kind: 'sign'; readonly operator: '+' | '-'; readonly of: Expression }
  | { readonly kind: 'not'; readonly of: Expression }
  | { readonly kind: 'and' | 'or'; readonly left: Expression; readonly right: Expression }
  | { readonly kind: 'operate'; readonly operator: Operator; readonly left: Expression; readonly right: Expression }
  | { readonly kind: 'concatenate'; readonly parts: readonly Expression[] }
  | {
      readonly kind: 'compare'
      readonly first: Expression
      readonly rest: readonly (readonly [Comparison, Expression])[]
    }
  | {
      readonly kind: 'choose'
      readonly test: Expression
      readonly chosen: Expression
      readonly otherwise: Expression | undefined
    }

/** What a value can be assigned to. */
export type Target =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'field'; readonly namespace: string; readonly field: string }
  | { readonly kind: 'targets'; readonly targets: readonly Target[] }

/** The parameters of a macro or a call block; names of defaults are those of the last parameters. */
export interface Signature {
  readonly parameters: readonly (readonly [name: string, ifAbsent: Expression | undefined])[]
}

export interface MacroNode {
  readonly kind: 'macro'
  readonly name: string
  readonly signature: Signature
  readonly body: readonly Statement[]
  /** Which of `varargs`, `kwargs` and `caller` the body names: only then may a call give them. */
  readonly accepts: ReadonlySet<string>
}

export interface ForNode {
  readonly kind: 'for'
  readonly target: Target
  readonly iterable: Expression
  readonly test: Expression | undefined
  readonly recursive: boolean
  readonly body: readonly Statement[]
  readonly otherwise: readonly Statement[]
}

export type Statement =
  | { readonly kind: 'data'; readonly text: string }
  | { readonly kind: 'print'; readonly value: Expression }
  | { readonly kind: 'set'; readonly target: Target; readonly value: Expression }
  | {
      readonly kind: 'setBlock'
      readonly target: Target
      readonly filter: Expression | undefined
      readonly body: readonly Statement[]
    }
  | {
      readonly kind: 'if'
      readonly branches: readonly { readonly test: Expression | undefined; readonly body: readonly Statement[] }[]
    }
  | ForNode
  | MacroNode
  | { readonly kind: 'callBlock'; readonly call: Expression; readonly macro: MacroNode }
  | { readonly kind: 'filterBlock'; readonly filter: Expression; readonly body: readonly Statement[] }
  | {
      readonly kind: 'with'
      readonly bindings: readonly (readonly [Target, Expression])[]
      readonly body: readonly Statement[]
    }
  | { readonly kind: 'generation'; readonly body: readonly Statement[] }
  | { readonly kind: 'break' | 'continue' }
