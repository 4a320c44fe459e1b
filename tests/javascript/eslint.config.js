// What `make lint` asks of the page's code: rules that find mistakes. How it looks is prettier's matter, but for the
// length of comments and texts, which it doesn't break.
import js from "@eslint/js";
import globals from "globals";

const page = "**/client/web/static/js/*.js";
const workers = "**/upload_worker.js";

export default [
  { files: [page], ...js.configs.recommended },
  {
    files: [page],
    ignores: [workers],
    languageOptions: { globals: globals.browser },
  },
  {
    files: [workers],
    languageOptions: { globals: globals.serviceworker },
  },
  {
    files: [page],
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "array-callback-return": "error",
      eqeqeq: "error",
      "max-len": ["error", 120],
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-constructor-return": "error",
      "no-duplicate-imports": "error",
      "no-promise-executor-return": "off",
      "no-self-compare": "error",
      "no-shadow-restricted-names": "error",
      "no-template-curly-in-string": "error",
      "no-throw-literal": "error",
      "no-unreachable-loop": "error",
      "no-unused-expressions": ["error", { allowShortCircuit: true, allowTernary: true }],
      "no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      "no-use-before-define": ["error", { functions: false, classes: false, variables: false }],
      "no-useless-return": "error",
      "no-var": "error",
      "prefer-const": "error",
      "require-atomic-updates": "off",
    },
  },
];
