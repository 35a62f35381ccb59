import type { MacroNode, Statement, Target } from './nodes.ts'

/** How a part of a template begins with a name: as what is around it has it, or undefined. */
type Beginning = 'around' | 'undefined'

/** The names that a part of a template reads or sets itself, and those that it sets. */
interface Names {
  readonly around: Names | undefined
  readonly known: Map<string, Beginning>
  readonly stored: Set<string>
}

const hidden = new WeakMap<readonly Statement[], readonly string[]>()

/**
 * The names that are undefined when this part of a template begins, even if the one who renders gave a value: those
 * that it sets before it reads them, and that no part around it names. jinja2 compiles them to variables of Python,
 * which parts within it see, too.
 */
export function hiddenNames(body: readonly Statement[]): readonly string[] {
  return hidden.get(body) ?? []
}

/** Finds the hidden names of a template's parts, from the outermost on. */
export function findHiddenNames(body: readonly Statement[], around?: Names, parameters: readonly string[] = []): void {
  const names: Names = { around, known: new Map(), stored: new Set() }
  for (const name of parameters) names.known.set(name, 'around')
  for (const statement of body) visit(statement, names)
  hidden.set(
    body,
    [...names.known].filter(([, beginning]) => beginning === 'undefined').map(([name]) => name),
  )
  for (const statement of body) enter(statement, names)
}

/** Visits the parts within a statement that have variables of their own. */
function enter(statement: Statement, names: Names): void {
  switch (statement.kind) {
    case 'if':
      for (const { body } of statement.branches) for (const inner of body) enter(inner, names)
      break
    case 'for':
      findHiddenNames(statement.body, names, ['loop', ...targetNames(statement.target)])
      findHiddenNames(statement.otherwise, names)
      break
    case 'macro':
      enterMacro(statement, names)
      break
    case 'callBlock':
      enterMacro(statement.macro, names)
      break
    case 'with':
      findHiddenNames(
        statement.body,
        names,
        statement.bindings.flatMap(([target]) => targetNames(target)),
      )
      break
    case 'setBlock':
    case 'filterBlock':
    case 'generation':
      findHiddenNames(statement.body, names)
  }
}

function enterMacro({ signature, body, accepts }: MacroNode, names: Names): void {
  findHiddenNames(body, names, [...accepts, ...signature.parameters.map(([name]) => name)])
}

/** Notes the names that a statement reads and sets itself, in jinja2's order. */
function visit(statement: Statement, names: Names): void {
  switch (statement.kind) {
    case 'print':
      return load(statement.value, names)
    case 'set':
      load(statement.value, names)
      return store(statement.target, names)
    case 'setBlock':
      return store(statement.target, names)
    case 'for':
      return load(statement.iterable, names)
    case 'macro':
      return store({ kind: 'name', name: statement.name }, names)
    case 'callBlock':
      return load(statement.call, names)
    case 'filterBlock':
      return load(statement.filter, names)
    case 'with':
      return statement.bindings.forEach(([, value]) => load(value, names))
    case 'if':
      return visitBranches(statement.branches, names)
  }
}

type Branches = Extract<Statement, { kind: 'if' }>['branches']

/** A name that a branch sets begins as what is around, as it does where the branch is not taken. */
function visitBranches(branches: Branches, names: Names): void {
  const found = branches.map((each) => branch(each, names))
  for (const { known, stored } of found) {
    for (const [name, beginning] of known)
      names.known.set(name, stored.has(name) && !names.stored.has(name) ? 'around' : beginning)
  }
  for (const { stored } of found) for (const name of stored) names.stored.add(name)
}

function branch({ test, body }: Branches[number], { around, known, stored }: Names): Names {
  const names: Names = { around, known: new Map(known), stored: new Set(stored) }
  load(test, names)
  for (const statement of body) visit(statement, names)
  return names
}

function isKnown(name: string, names: Names | undefined): boolean {
  return names !== undefined && (names.known.has(name) || isKnown(name, names.around))
}

function load(part: unknown, names: Names): void {
  if (typeof part !== 'object' || part === null) return
  const { kind, name } = part as { kind?: string; name?: string }
  if (kind === 'constant') return
  if (kind === 'name') {
    if (!isKnown(name!, names)) names.known.set(name!, 'around')
    return
  }
  for (const inner of Object.values(part)) load(inner, names)
}

function store(target: Target, names: Names): void {
  if (target.kind === 'targets') return target.targets.forEach((each) => store(each, names))
  if (target.kind === 'field') return load({ kind: 'name', name: target.namespace }, names)
  names.stored.add(target.name)
  if (!names.known.has(target.name))
    names.known.set(target.name, isKnown(target.name, names.around) ? 'around' : 'undefined')
}

function targetNames(target: Target): string[] {
  if (target.kind === 'targets') return target.targets.flatMap(targetNames)
  return target.kind === 'name' ? [target.name] : []
}
