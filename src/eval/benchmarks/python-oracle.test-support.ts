/** Python's own answers to many questions at once, where there is a Python: `python3` on the path, or what DUALVLA_PYTHON names. */
import { spawnSync } from 'node:child_process';

const PYTHON = process.env.DUALVLA_PYTHON ?? 'python3';

/** Functions by name; what is asked comes as JSON on standard input, what they say goes as JSON to standard output. */
const PROGRAM = `
import ast, json, math, re, sys, unicodedata, warnings
warnings.simplefilter('ignore')

def shown(value):
    if isinstance(value, bool) or value is None: return value
    if isinstance(value, int): return ['int', str(value)]
    if isinstance(value, float): return ['float', repr(value)]
    if isinstance(value, str): return value
    if isinstance(value, (list, tuple)): return {'items': [shown(item) for item in value]}
    raise ValueError('another type')

def literal(text):
    try: return {'value': shown(ast.literal_eval(text))}
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError): return None

def number(text):
    try: return repr(float(text))
    except ValueError: return None

FUNCTIONS = {
    'literal': literal,
    'float': number,
    'repr': lambda text: repr(float(text)),
    'sixteen': lambda text: repr(float('%.16G' % float(text))),
    'split': lambda text: text.split(),
    'strip': lambda text: text.strip(),
    'length': len,
    'prefix': lambda text: text[:7],
    'lower': lambda text: text.lower(),
    'upper': lambda text: text.upper(),
    'space': lambda text: [bool(re.fullmatch(r'\\s', c)) for c in text],
    'digit': lambda text: [int(c) if re.fullmatch(r'\\d', c) else None for c in text],
    'names': lambda text: [unicodedata.name(c, '') for c in text],
    'lookup': lambda text: literal("'\\\\N{" + text + "}'"),
}
asked = json.load(sys.stdin)
json.dump({name: [FUNCTIONS[name](text) for text in texts] for name, texts in asked.items()}, sys.stdout)
`;

/** Major and minor version; undefined where there is no Python. */
export const PYTHON_VERSION: string | undefined = (() => {
  const { stdout, status } = spawnSync(PYTHON, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])'], {
    encoding: 'utf8',
  });
  return status === 0 ? stdout.trim() : undefined;
})();

/** @param texts without lone surrogates @returns what Python's function says of each */
export function askPython(name: string, texts: readonly string[]): unknown[] {
  const { stdout, stderr, status } = spawnSync(PYTHON, ['-c', PROGRAM], {
    input: JSON.stringify({ [name]: texts }),
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new Error(`Python failed: ${stderr}`);
  return (JSON.parse(stdout) as Record<string, unknown[]>)[name] as unknown[];
}
