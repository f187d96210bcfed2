import{L as m}from"./chunk-PQQZGEUY.js";m();
